"""Forwarding loops: a forwarder that asks us what we ask it, itself or through others (RFC 1034 has no hop count to stop it).

Such a question comes back as a client's, and is found in flight. So does that of any other client that asks the same, so this is
no more than a reason to look: the forwarder is asked for a name that nobody can guess, below the zone that is forwarded. If that
comes back as a question, the forwarder leads back to us, and what is forwarded to it fails at once, with the reason, instead of
everybody waiting for everybody until all have given up.

A name server that is ourselves is told by the cookie that only it has had from us; as an authority it knows nothing.
"""

import logging
import secrets
from collections.abc import Generator
from typing import Any, NamedTuple

from resolverd import bounds
from resolverd.resolver.iterator.delegation import DelegationPoint
from resolverd.wire import codes
from resolverd.wire.answer import Answer, ExtendedError
from resolverd.wire.ask import Ask, Server, Transport
from resolverd.wire.names import MAX_NAME, Address, Name, to_text

log = logging.getLogger(__name__)

_PREFIX = b"resolverd-loop-"
_PATIENCE = 3.0
"""Seconds for a probe to come back."""
_TOLD = 3600.0
"""Seconds after which a loop that is still there is logged again."""


class _Probe(NamedTuple):
    """A name that was asked of a forwarder of a zone; `sent` in monotonic seconds."""

    server: Server
    zone: Name
    sent: float


class Loops:
    """Forwarders under suspicion, and those known to lead back: the configuration's, so few. And servers that are ourselves."""

    def __init__(self) -> None:
        self.probes: dict[Name, _Probe] = {}
        """What has left and may come back, by name."""
        self.found: dict[Server, float] = {}
        """Until when those that lead back are not asked (monotonic seconds)."""
        self._probed: dict[Server, float] = {}
        """When each was probed last."""
        self._told: dict[Server, float] = {}
        """When each was logged last."""

    def suspect(self, dp: DelegationPoint, now: float) -> list[Generator[Any, Any, None]]:
        """What is asked of these forwarders of a zone to find out: a core for each that was not probed of late."""
        due = [server for server in dp.servers if now - self._probed.get(server, float("-inf")) >= bounds.LOOP_PROBE]
        if not due or len(dp.zone) > MAX_NAME - 64:
            return []
        self.probes = {name: probe for name, probe in self.probes.items() if now - probe.sent < _PATIENCE}
        cores = []
        for server in due:
            self._probed[server] = now
            label = _PREFIX + secrets.token_hex(12).encode()
            name = bytes((len(label),)) + label + dp.zone
            self.probes[name] = _Probe(server, dp.zone, now)
            cores.append(_ask(server, name))
        return cores

    def returned(self, name: Name, now: float) -> Name | None:
        """A question that somebody asks us: the zone that is forwarded in a circle, where it is a probe of ours."""
        probe = self.probes.pop(name, None)
        if probe is None or now - probe.sent >= _PATIENCE:
            return None
        self.found[probe.server] = now + bounds.LOOP_HOLD
        # Once it is asked again, the first question that comes back has it probed again.
        del self._probed[probe.server]
        text = "forwarding loop: %s, to which %s is forwarded, asks this daemon in turn; what is forwarded there fails"
        self._tell(probe.server, now, text, to_text(probe.zone))
        return probe.zone

    def ourselves(self, server: Address, zone: str, now: float) -> None:
        """Our own question to this server of a zone, as it is shown, has come to us."""
        self._tell(Server(server), now, "%s, a name server of %s, is this daemon itself, and no authority for it", zone)

    def _tell(self, server: Server, now: float, text: str, zone: str) -> None:
        if now - self._told.get(server, float("-inf")) >= _TOLD:
            if len(self._told) >= bounds.LOOPS_TOLD:
                self._told.clear()
            self._told[server] = now
            log.error(text, server, zone)

    def failure(self, dp: DelegationPoint, now: float) -> Answer | None:
        """What a question that is forwarded so comes to, where each of these servers leads back to us."""
        if not dp.forward or not all(self.found.get(server, 0.0) > now for server in dp.servers):
            return None
        shown = ", ".join(map(str, dp.servers))
        text = f"forwarding loop: {shown}, to which {to_text(dp.zone)} is forwarded, asks this resolver"
        return Answer(codes.SERVFAIL, errors=(ExtendedError(codes.EDE_OTHER, text),), keep=False)

    def forget(self) -> None:
        """Other forwarders may be configured now, or these may have been set right."""
        self.probes, self.found, self._probed, self._told = {}, {}, {}, {}


def _ask(server: Server, name: Name) -> Generator[Any, Any, None]:
    transport = Transport.TLS if server.tls_name else Transport.UDP
    yield Ask(server, name, codes.TXT, transport, _PATIENCE, recursion=True, edns_size=0, dnssec=False)
