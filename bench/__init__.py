"""Benchmarks beside the programs that admins know: on one machine, with the same data and the same client, in turns.

`make bench` runs all cases (`python -m bench CASE…` some; `--list` names them), adds what came of them to
`bench/results/results.jsonl` and renders `bench/RESULTS.md`. As root, after tests/install-peers: the servers run inside the
lab's namespaces.

=============  ==================================================================================================
`harness`       what a case is, and how its servers take turns; how to write one
`cases`         the cases, a module a subject
`measure`       cores, CPU time, memory, versions
`dnsperf`       a load of DNS questions; `policy_load`: of policy requests; `newcomers`: an internet with new clients
`peers`         peers' configurations, where the lab's are not what is wanted; each line with its reason
`results`       the JSON lines, field by field; several runs put together
`render`, `plot`   tables, the page and its pictures
=============  ==================================================================================================

Some that compare nothing, or need longer than a run of all cases may, are commands of their own, `python -m bench.NAME`:

- `bounds` the costliest work that strangers make beside ordinary work; `calls` what paths pass through
- `internet` names of an internet in bad shape: packets lost, servers dead, far away or late
- `cold` names of a whole internet, and the round trips that they take, beside Unbound and PowerDNS Recursor
- `lists` queries to the lists' servers for 20 000 connections (takes a quarter of an hour)
- `rereading` what a client waits while a changed list is read, `kills` stores that are killed and damaged
- `fleet_kills` mail to three servers with one store, all of which die (ten minutes); `shared_verdicts` what a verdict takes
  there, `shared_lists` how often lists are asked
"""
