"""Floor 1: recursion as pure generators (RFC 1034 §5.3.3): they yield Asks, are sent Replies, and see no socket and no clock.

- `iterate`: from a question to its outcome: nearest cut, minimised names, referrals, aliases
- `delegation_points`: where to ask · `targets`: which servers of one cut, for one question
- `asking`: one question to one server · `fallback`: in which form it is asked next
- `carrying`: each packet that leaves is paid for once
- `opinion`: what mixed letters were told, confirmed
- `options`: how, as configured
- `budget`: the budget that one client question and all its sub-questions share
- `qmin`: QNAME minimisation (RFC 9156)
- `classify`: what a server's message is: answer, alias, denial, referral, lame, broken
- `scrub`: what of a message may be believed (bailiwick, RFC 2181 §5.4.1)
- `servers`: what is known of each server: RTT, silences; and the choice among them · `capabilities`: EDNS, cookies, letters
- `attempts`: what one question has cost each server so far
- `outages`: zones none of whose servers answers · `reach`: is the internet there? · `probe`: is anybody there? asked by both
- `rootcheck`: does the root itself answer, or somebody on the way?
- `upstreams`: where iteration begins: root hints, stub and forward zones
- `cached`: answers put together from memory alone
- `ports`: the memory that recursion is handed
"""
