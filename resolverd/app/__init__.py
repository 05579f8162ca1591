"""Floor 5: the composition root. Everything is put together here, and only here.

- `resolution`: the resolver          - `screening`: lists, checks, verdict, greylisting
- `house`: these together, once for each configuration that is read
- `service`: all of it as the edges see it (`servers.ports.Backend`), and its reload
- `serve`: the daemon's life, from bind to SIGTERM     - `sockets`: binding, with errors that help
- `ownzones`, `zonefiles`: own zones from their folder     - `allowing`: greylisting's allow files
- `local`: the same without sockets of its own, for commands where no daemon runs
- `greeting`: what is said at start
"""
