"""The only sockets towards the internet.

- `udp`: carries one Ask to one server and brings its Reply, over a socket of its own (with `receiver`) or over TCP
- `tcp_pool`: connections over TCP and TLS, shared · `tcp`: one of them
- `cookies`: DNS cookies towards servers
"""
