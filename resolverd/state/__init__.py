"""What is kept: bytes by table and key, each until its time.

- `base`: what every store does (one contract, one suite of tests over all of them) · `memory`: while the process lives
- `in_process`: counters and compare-and-swap, for stores that one process has to itself · `watchers`: who watches a table
- `shared`: what a store of several hosts does beyond that · `merging`: two accounts of one record made one
- `fallback`: such a store with the host's own behind it · `sharing`: what that host still has to tell it, noted in `unshared`
- `news`: what is told of changes in both
- `unreachable`: in place of one that cannot even be tried
- `rows`: the form of caches over a restart, which are no store
- `disk`: in a file · `redis`: in Valkey or Redis, shared by several hosts
- `statedir`: the state directory: lock, permissions, setting aside what is damaged · `dump`: all of it

Stores know nothing of what they keep: who keeps something encodes it, versions its encoding, and takes what it cannot
decode for absent.
"""
