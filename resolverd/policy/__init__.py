"""A delivery attempt and its verdict.

- `service`: the order of things, from attributes to verdict · `evaluate`: the checks, their `lookups` side by side, within
  `lookup_budget`, once a message (`cache`) · `evaluation`: what was found out, decided again where a list changes its answer,
  and its `assessment`, which further mail finds made (`verdict_cache`) · `list_engine`: who asks the lists
- `checks`: one file a check, each a `Check` (`check`): a generator (`asking`) that asks, reads the replies and says what it has
  found; made with `evidence`, `iprev` (the client's names), `listings`, `local_domains` (those that are ours)
- `runs`: the checks of one attempt, each gone on with as replies come
- `verdict`: the fold of all findings · `early`: is it decided already? · `what_if`: had a finding not been there? ·
  `worth`: had a list not been there?
- `headers`: queued by message · `client_names`: what a client is called, asked by itself
- `verdicts`: kept by reference, as `verdict_records` · `history`: which of them are wanted
- `published_verdicts`: shown to the other hosts of a fleet · `fleet_verdicts`: those of all hosts
"""
