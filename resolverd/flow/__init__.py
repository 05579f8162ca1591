"""Floor 3: the order of things. Cores decide, flow asks for what they want and carries their answers on.

- a DNS question: `answer` (whose name is it?), `listzones` (names made of what lists say), `resolve` (own and built-in zones,
  what is remembered, recursion), `recurse` (one recursion a question, however many ask) with `room` (who may recurse while
  room is short) and `driving` (has carried what the generators of `recursion` yield), `localzones` (own zones from files)
- an attempt: `screen` (the order of screening), `hearing` (the checks heard), `inquiry` (all their questions side by side),
  `messages` (what is known of a message), `purse` (what one mail may cost others), `recent` (verdicts by id), `greylisting`,
  `greybook` (looking into it by hand), `hosts` (what is a client called?)
- the admin's own word: `overriding` (kept, and told in the audit log), `ownword` (on what a list is asked about)
- the lists: `fanout` (the engine), `errands` (what is asked), `dispatch` (one question, coalesced and remembered), `desk` (one
  list's gate and books), `landing` (waiting for what is under way), `proofs` (does a list still tell good from bad?), `tolls`
  (queries paid for where they leave)
- what is known of clients: `acquaintances` (noted), `clientzones` (told, as lists)
- by itself: `upkeep` (the root), `rounds` (test points, own addresses), `ledger` (quotas kept), `archive` (the whole store)
- `ports`: the Protocols through which the floors below are met
"""
