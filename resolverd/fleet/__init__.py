"""The hosts that share one store: who they are, what one of them does for all, and what time it is for all of them.

- `hosts`: the hosts of the fleet · `duties`: work that one does for all
- `clock`: their common wall clock · `schema`: what all can read

One host alone has a store of its own, and none of this.
"""
