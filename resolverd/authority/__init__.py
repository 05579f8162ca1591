"""Floor 1: what is answered without asking anybody.

- `zone`: a zone held in memory: data, NODATA, empty non-terminals, NXDOMAIN, each with its SOA
- `masterfile`: zone text to RRsets (dnspython)      - `localdata`: single lines of local data to RRsets (dnslib)
- `builtin`: the zones of RFC 6303 and RFC 6761, which never leave the machine
"""
