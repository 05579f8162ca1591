"""What is answered without asking anybody.

- `builtin`: the zones of RFC 6303 and RFC 6761, which never leave the machine
- `files`: local zones read behind the start and anew when they change · `zone_file`: one file of them, and its faults
- `table`: the closest local zone of a name           - `local_zone`: a master file and lists as one zone
- `zone`: a zone held in memory: data, aliases, wildcards, delegations, empty non-terminals, denials, each with its SOA
- `replies`: replies about entries of lists, from a question's octets
- `master_file`: zone text to RRsets (dnspython)      - `rbldnsd`: lists in rbldnsd's formats
- `presentation`: single records as text and back, by dnspython too
"""
