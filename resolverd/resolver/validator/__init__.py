"""DNSSEC validation: whether data is what its zone has signed, from a trust anchor down (RFC 4033, RFC 4034, RFC 4035).

- `algorithms`: which algorithms and digests count, and public keys (RFC 8624)
- `work`: what one client question may cost (KeyTrap)
- `signatures`: an RRset, its signatures and a zone's keys: verified, or why not (RFC 4035 §5.2, §5.3)
- `anchors`: the zones that are trusted without a parent's word, and their keys (RFC 4033 §5)
- `denial`: what NSEC and NSEC3 RRsets prove (RFC 4035 §5.4, RFC 5155 §8), with `nsec` and `nsec3` for each of them and `proof`
  for what their answers are
"""
