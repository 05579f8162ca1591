"""Where the world comes in: read, bounded, rendered; nothing is decided.

- `dns`: UDP (the hit path), TCP, and what they share · `policy`: Postfix's policy protocol · `http`
- `accepting`: how connections come in · `access`: who may ask · `turns`: heaps are worked off a little at a time
- `unix_socket`
"""
