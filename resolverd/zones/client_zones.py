"""What the service itself knows of a client, as lists: for postscreen, rspamd and SpamAssassin to weigh.

Listed is only what is certain, and asking changes nothing: a client that is not known, or a name that cannot be looked up
just now, is on none of these.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from resolverd.clients.history import ClientHistory
from resolverd.clock import Clock
from resolverd.dnsbl.names import is_public
from resolverd.failures import StoreError
from resolverd.mail.sanitize import points, sanitize
from resolverd.policy.client_names import ClientNames
from resolverd.policy.verdict_records import StoredVerdict
from resolverd.wire.names import Address
from resolverd.zones import dnsbl_zone
from resolverd.zones.dnsbl_zone import FIRSTSEEN, GREYPASSED, NOFCRDNS, NOPTR, OFFENDERS, WHY, ZoneAnswer


class Verdicts(Protocol):
    """The verdicts given (`policy.verdicts`)."""

    async def last_on(self, client: Address) -> StoredVerdict | None:
        """The last verdict on a client. Raises StoreError."""
        ...


class ClientZones:
    """Answers for the subzones of what is known."""

    def __init__(self, names: ClientNames, history: ClientHistory, verdicts: Verdicts, clock: Clock) -> None:
        self._names = names
        self._history = history
        self._verdicts = verdicts
        self._clock = clock
        self._subzones: dict[str, Callable[[Address, float], Awaitable[ZoneAnswer]]] = {
            NOPTR: self._noptr,
            NOFCRDNS: self._nofcrdns,
            FIRSTSEEN: self._firstseen,
            GREYPASSED: self._greypassed,
            OFFENDERS: self._offenders,
            WHY: self._why,
        }

    async def answer(self, subzone: str, client: Address, *, deadline: float) -> ZoneAnswer:
        """What a subzone says of a client, by `deadline` (monotonic seconds)."""
        try:
            async with asyncio.timeout(max(0.0, deadline - self._clock.monotonic())):
                return await self._subzones[subzone](client, deadline)
        except TimeoutError:  # a store that hangs
            return ZoneAnswer(ttl=dnsbl_zone.PARTIAL_TTL)

    async def _noptr(self, client: Address, deadline: float) -> ZoneAnswer:
        return await self._by_name(client, deadline, NOPTR)

    async def _nofcrdns(self, client: Address, deadline: float) -> ZoneAnswer:
        return await self._by_name(client, deadline, NOFCRDNS)

    async def _by_name(self, client: Address, deadline: float, subzone: str) -> ZoneAnswer:
        if not is_public(client):  # who has no public address need not have a public name
            return ZoneAnswer(ttl=dnsbl_zone.DEFAULT_TTL)
        names = await self._names.lookup(client, deadline=deadline)
        ttl = dnsbl_zone.DEFAULT_TTL if names.ttl is None else max(1, min(names.ttl, dnsbl_zone.DEFAULT_TTL))
        ttl = min(ttl, dnsbl_zone.PARTIAL_TTL) if names.partial else ttl
        if subzone == NOPTR and names.nameless:
            return dnsbl_zone.listed(f"{client} has no reverse hostname", ttl)
        if subzone == NOFCRDNS and names.unconfirmed:
            return dnsbl_zone.listed(f"no hostname of {client} leads back to it", ttl)
        return ZoneAnswer(ttl=ttl)

    async def _firstseen(self, client: Address, _deadline: float) -> ZoneAnswer:
        left = await self._history.new_for(client)
        if left is None:
            return ZoneAnswer(ttl=dnsbl_zone.PARTIAL_TTL)
        if not left:
            return ZoneAnswer(ttl=dnsbl_zone.DEFAULT_TTL)
        return dnsbl_zone.listed(f"{client} was first seen less than a day ago", _at_most(left, dnsbl_zone.DEFAULT_TTL))

    async def _greypassed(self, client: Address, _deadline: float) -> ZoneAnswer:
        if await self._history.has_passed(client):
            return dnsbl_zone.listed(f"{client} has passed greylisting", dnsbl_zone.DEFAULT_TTL)
        return ZoneAnswer(ttl=dnsbl_zone.PARTIAL_TTL)

    async def _offenders(self, client: Address, _deadline: float) -> ZoneAnswer:
        left = self._history.offends_for(client)
        if not left:
            return ZoneAnswer(ttl=dnsbl_zone.PARTIAL_TTL)
        text = f"{client} was refused again and again within an hour"
        return dnsbl_zone.listed(text, _at_most(left, dnsbl_zone.PARTIAL_TTL))

    async def _why(self, client: Address, _deadline: float) -> ZoneAnswer:
        try:
            stored = await self._verdicts.last_on(client)
        except StoreError:
            stored = None
        if stored is None:
            return ZoneAnswer(ttl=dnsbl_zone.STATUS_TTL)
        verdict = stored.verdict
        texts = [f"{verdict.action}, {int(stored.age)} s ago, score {points(verdict.score)}, id {verdict.id}: {verdict.reason}"]
        texts += [each.text for each in verdict.findings if each.consequence is not None and each.text not in verdict.reason]
        return ZoneAnswer((), tuple(sanitize(text, 250) for text in texts), dnsbl_zone.STATUS_TTL)


def _at_most(seconds: float, ttl: int) -> int:
    return max(1, min(int(seconds), ttl))
