"""The surfaces, a target each; whoever imports a module of these adds its targets to `tests.fuzz.target.TARGETS`.

- `messages`: octets from servers and clients: messages, names, rdata, options
- `resolution`: what an authority says, from its packet to the client's; the same from signed zones
- `serving`: what clients of the DNS, policy and HTTP sockets send
- `databases`: the files of the state directory
- `files`: configuration, zones, lists, maps   - `records`: what a store gives back   - `mail`: SPF, mail's names and addresses
- `mail_log`: lines of mail logs
"""
