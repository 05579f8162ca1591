"""DNSSEC validation: whether data is what its zone has signed, from a trust anchor down (RFC 4033, RFC 4034, RFC 4035).

From a response downwards:

- `validate`: a response: each RRset of its chain, and its denial, secure, insecure or bogus
- `chain`: from the closest trust anchor down to the zone of a name, DS by DS and key by key · `keys`: what that has come to
- `trust`: on whose word keys are believed · `anchors`: the zones that are trusted without a parent's word (RFC 4033 §5) ·
  `nta`: those below which nothing is validated (RFC 7646) · `clock_check`: whether the wall clock is right
- `rfc5011`: how trust anchors change over time · `key_tags`: telling a zone which are in use (RFC 8145)
- `sentinel`: clients find out which of the root's keys are trusted (RFC 8509)
- `algorithms`: which algorithms and digests count, and public keys (RFC 8624)
- `signatures`: an RRset, its signatures and a zone's keys: verified, or why not (RFC 4035 §5.2, §5.3)
- `denial`: what NSEC and NSEC3 RRsets prove (RFC 4035 §5.4, RFC 5155 §8), with `nsec` and `nsec3` for each of them and `proof`
  for what their answers are
- `aggressive`: answers made from what is known of other names (RFC 8198) · `aggressive_zone`: of one zone, kept as `gaps`
"""
