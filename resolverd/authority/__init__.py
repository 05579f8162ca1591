"""Floor 1: what is answered without asking anybody.

- `table`: whose name is it: the closest own zone      - `ownzone`: a master file and lists as one zone
- `zone`: a zone held in memory: data, aliases, wildcards, delegations, empty non-terminals, denials, each with its SOA
- `masterfile`: zone text to RRsets (dnspython)        - `datasets`: lists in rbldnsd's formats
- `localdata`: single lines of local data to RRsets (dnslib)
- `builtin`: the zones of RFC 6303 and RFC 6761, which never leave the machine
"""
