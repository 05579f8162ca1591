"""From a question to its answer.

- `answer`: the whole order of things: local data, what is cached, recursion
- `mesh`: an answer from memory, by recursion, stale, or why there is none · `loops`: forwarders that ask us in turn ·
  `own_questions`: those that no client asks
- `recursions`: one a question, however many ask, with `in_flight` (questions in flight, and who waits for them), `admission`
  (who may recurse while room is short, and who is jostled out), `driver` (steps the generators of `iterator`: a reply steps
  who waits for it) and `bogus_log` (which bogus answers are logged)
- `iterator`: recursion as pure generators · `cache`: what is remembered · `local`: what is answered without asking anybody
- `persist`: what is remembered, kept over a restart
- `validator`: whether data is what its zone has signed · `negative_anchors`: where that is not looked at for a while ·
  `clock_watch`: whether the wall clock can be believed, by which signatures count
- `anchor_watch`: the trust anchors looked after over time
- `priming`: the root's servers kept known, and whether the internet can be reached
- `ports`: the Protocols through which network and state are met
"""
