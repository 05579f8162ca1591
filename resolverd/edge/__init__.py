"""Floor 4: where the world comes in. Edges read, bound and render; they decide nothing.

- DNS: `dns_udp` (the hit path), `dns_tcp`, `dns` (what they share), `access` (who may ask)
- `turns`: pipelined heaps are worked off a little at a time · `socketfile`: UNIX sockets
- Postfix: `policy`, `policy_wire` (the protocol without IO)
- HTTP: `http` (the server and its bounds), `gate` (Host, Origin, token), `api` (routes), `shapes` (JSON), `problems`
  (RFC 9457), `keeping` and `storelines` (greylist and store), `metrics`, `openapi`, `page`
- `ports`: the one Protocol through which they see the daemon
"""
