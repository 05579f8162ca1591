"""Iteration as pure generators (RFC 1034 §5.3.3): they yield Asks, are sent Replies, and see no socket and no clock.

From the question downwards:

- `iterate`: from a question to its answer: nearest delegation point, minimised names, referrals, CNAMEs
- `lookup`: answers put together from the caches alone
- `zone_query`: one question to the servers of one zone · `targets`: which of them is asked next, and which names are looked up
- `query`: one question to one server · `fallback`: in which form it is asked next · `retries`: what it has cost each server

What they decide by:

- `delegation`: where to ask · `forwards`: root hints, forward and stub zones · `qmin`: QNAME minimisation (RFC 9156)
- `response`: what a server's message is: answer, CNAME, denial, referral, unusable · `scrub`: what of it may be believed
- `caps_check`: what 0x20 letters were answered, confirmed · `interception`: does the root itself answer, or somebody on the way?
- `infra`: what is known of each server: RTT, timeouts; and the choice among them · `capabilities`: EDNS, cookies, 0x20, qmin
- `outages`: zones none of whose servers answers · `reachability`: is the internet there?
- `validation`: what is wanted of who validates, and given to him (`resolver.validator`)
- `budget`: what one client question and all its sub-questions may cost · `work`: what validating its answer may (KeyTrap)
- `options`: as configured, bounds on TTLs included
"""
