"""The DNS server: `udp` (the hit path) over `datagrams` and `mmsg`, `tcp`, `tls` over it, `answering` (what they share).

- `backlog`: questions that cannot be worked on yet
- `options`: the EDNS options of replies · `cookies`: of these, server cookies · `siphash`: what they are made with
"""
