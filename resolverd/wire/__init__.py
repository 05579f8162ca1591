"""Floor 0: the DNS on the wire. Octets to values and back, nothing else.

- `names`: domain names in wire form        - `codes`: types, RCODEs, flags by their IANA names
- `rdata`: names within rdata               - `rrset`: RRset, Trust, Security
- `peek`: a client's question               - `message`: a server's reply
- `answer`: what is to be said              - `render`: saying it
- `ask`: what a core wants from outside (Ask, All, First)
"""
