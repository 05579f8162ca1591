"""The DNS server: `udp` (the hit path) over `datagrams` and `mmsg`, `tcp`, `answering` (what they share)."""
