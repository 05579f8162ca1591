"""Plays resolver scenarios (``.rpl``) against the real recursion, caches and renderer, on a fake network and clock.

- `rpl`: the format read into values          - `wire`: messages, record for record
- `match`: whether a message is what an entry expects
- `dialect_d`, `dialect_u`: the two ways of playing, each with its fake network (`unbound_conf`: the header of the latter)
- `stack`: the resolver under test, set up as a scenario's header wants it
"""
