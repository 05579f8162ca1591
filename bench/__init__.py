"""Benchmarks beside the programs that admins know, each in one run on one machine: `python -m bench.NAME`.

- `dns` what is remembered, `cold` names that are not, `policy` verdicts and greylisting: `make bench`
- `bounds` the costliest work that strangers make beside ordinary work
- `internet` names of an internet in bad shape: packets lost, servers dead, far away or late
- `lists` queries to the lists' servers for 20 000 connections (takes a quarter of an hour)
- `zones` own lists beside rbldnsd, `greylist` a million triplets, `kills` stores that are killed and damaged

They run inside the lab's namespaces where they need peers, and go there by themselves: as root, after tests/install-peers.
"""
