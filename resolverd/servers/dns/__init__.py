"""The DNS server: `udp` (the hit path) over `datagrams` and `mmsg`, `tcp`, `tls` over it, `answering` (what they share)."""
