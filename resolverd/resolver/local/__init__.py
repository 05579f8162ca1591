"""What is answered without asking anybody.

- `table`: whose name is it: the closest local zone      - `local_zone`: a master file and lists as one zone
- `zone`: a zone held in memory: data, aliases, wildcards, delegations, empty non-terminals, denials, each with its SOA
- `master_file`: zone text to RRsets (dnspython)         - `rbldnsd`: lists in rbldnsd's formats
- `records`: single lines of local data to RRsets (dnslib)
- `builtin`: the zones of RFC 6303 and RFC 6761, which never leave the machine
- `files`: read behind the start and anew when they change
"""
