"""The DNS lists: all asked at once, each within its rate and quota, and believed only while they deserve it.

- what a list is: `catalogue`, `config`, `tables` (data to `spec`), `codes` (what an answer means), `names` (what is asked),
  `quota` (how much), `on_demand` (which may be asked though they are not enabled)
- what came back: `response`, `cache`, `kept` (over a restart), `aggregate` (all lists on one subject)
- does a list deserve belief? `health`, `anomaly`, `known_good`
- what the hosts of a fleet tell each other: `shared_replies` (what lists say; `reply_record`), `shared_health` (how they fare;
  `health_view`), `watched` (which of their own addresses are listed)
- asking: `engine` (all of them), `lookup` (one query: coalesced, cached, re-verified), `list_state` (one list's availability,
  quota and counts; queries charged where they leave), `list_memory` (what outlives a configuration), `canaries` (does it still
  tell good from bad?), `quota_store` (quotas kept, as `quota_slots`), `leases` (quotas that several hosts share; `leased_quota`
  is one host's part, `slot_counters` what they count together), `monitor` (test points, own addresses)
"""
