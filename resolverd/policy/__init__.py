"""A delivery attempt and its verdict.

- `service`: the order of things, from attributes to verdict · `evaluate`: the checks, their questions side by side
  (`results`, within `lookup_budget`)
- `checks`: one file a check: what it asks (`lookups`), and how it judges what came back (`findings`)
- `verdict`: the fold of all findings · `early`: is it decided already? · `what_if`: had a check not been there?
- `suppress`: what need not be asked, an override being there · `local_domains`: domains that are ours
- `headers`: queued by message · `cache`: what is known of a message · `verdicts`: by id
"""
