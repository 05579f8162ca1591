"""resolverd: the DNS side of spam blocking for mail servers, in one daemon.

A caching recursive resolver, an engine that asks all DNS lists at once within their quotas, a combined zone that says in
one DNS answer what they say, and the verdict on a delivery attempt for Postfix's policy protocol and HTTP, with greylisting
compatible with Postgrey. When in doubt or broken, mail passes.

The map. Imports point down only; import-linter holds that (``pyproject.toml``), and each package's docstring goes on::

    cli          the commands
    app          everything put together: runtime, serve, supervise, reload
    ops          what is wrong with the mail server around it
    config       config.toml
    servers      the sockets: dns, policy, http
    telemetry    what happens now and of late: time series, live feed, alerts
    zones        what lists and clients look like as DNS
    policy       a delivery attempt and its verdict
    clients      what is known of clients
    greylist  overrides
    dnsbl  spf   the lists, asked and believed · RFC 7208
    resolver     from a question to its answer: local data, caches, recursion
    fleet        the hosts that share one store
    net  state   the internet's sockets · what is kept
    mail         values of the mail side: attempt, lookups, findings
    wire         values of the DNS: names, rdata, messages
    logs  log_writer  metrics  metric_help
    bounds  failures  generation  memo  clock  deadlines  durations  latencies  spelling  tls  values

Two paths run through it::

    a packet                                        an attempt
      servers.dns.udp, tcp                            servers.policy.server, servers.http.routes.verdict
      resolver.cache.packets  known? patch, send      mail.request            what is known of it
      resolver.local.replies  an own list's? send     policy.service          the order of things
      wire.peek               what is asked             policy.verdict_cache    known of mail like this?
      zones.answer            whose name is it?         policy.evaluate         else the checks, side by side
        zones.lists           made of lists: ─────▶       policy.checks           what to ask, what it means
          zones.dnsbl_zone                                dnsbl.engine            the lists, within quota and deadline
        resolver.answer       local or cached ◀────       resolver.answer         names
          resolver.mesh       recursed for              policy.verdict          the fold
            iterator.iterate  yields Asks               greylist.service        only while undecided
            resolver.driver   performs them               greylist.decide, state
            net.outside       carries them            servers.policy.protocol the action; or JSON
      wire.render             the reply
"""

__version__ = "0.1.0"
