"""Floor 2: the network. `exchange` carries one Ask to one server and brings its Reply; `clock` reads the time."""
