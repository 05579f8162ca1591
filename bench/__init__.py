"""Benchmarks beside the programs that admins know, each in one run on one machine: `python -m bench.dns`, `bench.policy`.

Both run inside the lab's namespaces and go there by themselves, so they need root and tests/install-peers.
"""
