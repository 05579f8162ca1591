"""The composition root. Everything is put together here, and only here.

- `resolver`: the resolver, `trust`: on what it validates          - `policy`: lists, checks, verdict, greylisting
- `runtime`: these together, once for each configuration that is read, over what outlives it
- `reload`: the configuration read again, off the event loop, one reading after the other
- `service`: all of it without sockets: what goes on by itself, what HTTP calls work on (`capabilities`)
- `serve`: the daemon's life, from bind to SIGTERM · `supervise`: tasks that live as long
- `process`: how Python runs in it, and what the system lets it have
- `listeners`: all sockets, bound here or by systemd · `sockets`: binding, with errors that help
- `systemd`: readiness, watchdog, sockets that it passes · `privileges`: dropping root
- `local_zones`, `zone_folder`: local zones from their folder     - `allow_files`: greylisting's allow files
- `certificate`: that of DNS over TLS                            - `named_files`: everything else that a configuration names
- `store`: the host's own store, and the server that hosts share · `fleet`: what a host does besides where it shares one
- `moving`: one store into another · `shared_tables`: what the hosts of a fleet share, and how two accounts of it become one
- `kept_caches`: the caches that are kept over a restart            - `banner`: what is said at start
- `alerts`: what is seen of the daemon, and by which ways somebody is told
"""
