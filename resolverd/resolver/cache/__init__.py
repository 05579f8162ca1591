"""What is remembered of the DNS, and for how long.

- `packets`: prepared replies, keyed on the query's octets: the hit path
- `rrsets`: RRsets and negative answers by trust (RFC 2181 §5.4.1, RFC 2308), stale ones included (RFC 8767), held as `entries`;
  a flush of many is a `sweep`
- `delegations`: zone cuts as their parents gave them, never prolonged by anyone else; found as `zone_table` does
- `failures`: resolutions that failed (RFC 9520)
- `weight`: what their values cost in memory · `discarded`: what is still to be freed
- `backing`: how far disk is behind them, where they are kept over a restart

All are bounded in octets, and take the time (monotonic seconds) from the caller.
"""

from typing import NamedTuple

from resolverd.resolver.cache.delegations import DelegationCache
from resolverd.resolver.cache.rrsets import RRsetCache


class Caches(NamedTuple):
    """What iteration reads and writes."""

    rrsets: RRsetCache
    delegations: DelegationCache

    def succeed(self, rrsets: int, delegations: int, stale: float) -> "Caches":
        """Other caches of these sizes (octets) that hold what these do, which are left empty to whoever still uses them.

        What was begun before a change so reads and writes on, and nothing of it is kept. `stale` as `RRsetCache` has it.
        """
        return Caches(self.rrsets.succeed(rrsets, stale), self.delegations.succeed(delegations))
