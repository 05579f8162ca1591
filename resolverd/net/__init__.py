"""Floor 2: the network.

- `exchange`: carries one Ask to one server and brings its Reply      - `streams`: TCP and TLS connections, reused
- `stream`: one of those: who is asked what on it, and what is not read any further
- `cookies`: DNS cookies towards servers                              - `clock`: reads the time
"""
