"""Floor 2: the network.

- `exchange`: carries one Ask to one server and brings its Reply      - `streams`: TCP and TLS connections, reused
- `cookies`: DNS cookies towards servers                              - `clock`: reads the time
"""
