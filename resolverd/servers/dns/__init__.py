"""The DNS server: `udp` (the hit path), `tcp`, `answering` (what they share)."""
