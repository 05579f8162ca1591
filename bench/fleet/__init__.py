"""A fleet of 1 to 1000 hosts with one store, simulated: what it sends of a quota, what it agrees on, what it asks of the store.

`python -m bench.fleet [--hosts N,…] [--processes N] [--page FILE]`: hosts run the daemon's own code for leases, list health and
overrides, on virtual time; packets and the network to the store are simulated. The page and its plots are made of what comes out.

    server     the store, and each host's way to it
    quotas     questions to one list whose quota all share, in four weathers
    news       what one host finds out or is told, until all know it
    page       the page and the plots
"""
