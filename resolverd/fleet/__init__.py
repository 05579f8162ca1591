"""The hosts that share one store: who they are, what one of them does for all, and what time it is for all of them.

- `hosts`: the hosts of the fleet · `host_record`: what each says of itself · `schema`: the form of records that all can read
- `duties`: work that one does for all · `clock`: their common wall clock · `audit`: one audit log for all

One host alone has a store of its own, and none of this.
"""
