"""Is anybody there? The plainest question to a server, asked on our own account: no EDNS, nothing learnt from the answer."""

from collections.abc import Generator
from typing import Any

from resolverd.resolver.iterator.budget import Work
from resolverd.resolver.iterator.carrying import carried
from resolverd.wire.ask import Ask, Failed, Reply, Server, Transport
from resolverd.wire.names import Name

_MUTE = (Failed.TIMEOUT, Failed.UNREACHABLE, Failed.LOCAL)


def hail(
    work: Work, zone: Name, server: Server, qtype: int, *, recursion: bool, patience: float
) -> Generator[Any, Any, Reply | None]:
    """What comes back to a question for the zone itself, malformed replies included; None for nothing. Raises Exhausted."""
    transport = Transport.TLS if server.tls_name else Transport.UDP
    work.spend()
    work.pay(zone, zone)
    ask = Ask(server, zone, qtype, transport, patience, recursion, edns_size=0, dnssec=False)
    reply = yield from carried(work, ask, zone)
    work.received(reply)
    return None if reply.failed in _MUTE else reply
