"""resolverd: the DNS side of spam blocking for mail servers, in one daemon.

A caching recursive resolver, an engine that asks all DNS lists at once within their quotas, a combined zone that says in
one DNS answer what they say, and the verdict on a delivery attempt for Postfix's policy protocol and HTTP, with greylisting
compatible with Postgrey. When in doubt or broken, mail passes.

The map. Arrows (imports) point down only; import-linter holds them (``pyproject.toml``)::

    5  cli  app  config                         commands · everything put together · config.toml
    4  edge                                     sockets: dns_udp dns_tcp policy http, access
    3  flow                                     the order of things: answer resolve recurse · screen hearing · fanout
    2  net  store                               the network, and what is kept
    1  cache  authority  recursion  mail        cores: they decide, and touch nothing
    0  wire  watch  bounds  durations           DNS octets, counters and logs, limits, units of time
       failures  quota                          failures as values, how much may be asked

Two paths run through it::

    a packet                                      an attempt
      edge.dns_udp, edge.dns_tcp                    edge.policy, edge.http
      wire.peek            what is asked            mail.attempt           what is known
      cache.packets        known? patch, out        flow.screen            the order of screening
      flow.answer          whose name is it?          flow.hearing           the checks, asked side by side
        flow.listzones       the lists': ───────▶       mail.checks            what to ask, what it means
          mail.combined                                flow.fanout            the lists, within quota and deadline
        flow.resolve         built in, remembered ◀──   flow.resolve           names
          flow.recurse       nobody's                 mail.verdict           the fold
            recursion.iterate  yields Asks              flow.greylisting     only while undecided
            flow.driving       has them carried           mail.greylist, store
            net.exchange       carries them
      wire.render          the reply                edge.policy_wire       the action; or JSON
"""

__version__ = "0.1.0"
