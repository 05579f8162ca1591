"""The only sockets towards the internet.

- `outside`: carries one Ask to one server and calls back with its Reply: what is sent, how, and whether to believe the answer
- `udp`: a socket a question, all of them in one epoll set, on random ports
- `tcp_pool`: connections over TCP and TLS, shared · `tcp`: one of them
- `cookies`: DNS cookies towards servers
"""
