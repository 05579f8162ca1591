"""The DNS on the wire: octets to values and back, nothing else.

- `names`: domain names in wire form   - `alabels`: internationalised names as the DNS has them
- `codes`: types, RCODEs, flags        - `rdata`: names and fields within rdata
- `dnssec`: DNSKEY, DS, RRSIG, NSEC, NSEC3 - `canonical`: the form and order in which data is signed
- `rrset`: RRset, Trust, Security      - `answer`: what a client is answered, in no client's form yet
- `peek`: a client's question          - `render`: the reply's octets
- `message`: a server's reply          - `ask`: what a core wants from outside: Ask, First, Race and their replies
- `redact`: names as text, without the keys in them
"""
