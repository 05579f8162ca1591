"""Puts ``[alerts]`` together: what the daemon says of itself, and the ways by which somebody is told."""

import asyncio
import socket
from collections.abc import Callable
from datetime import datetime
from ipaddress import ip_address
from typing import Final

from resolverd.app.fleet import Fleet
from resolverd.app.runtime import Runtime
from resolverd.clock import Clock
from resolverd.config.settings import AlertsSettings
from resolverd.metrics import Counters
from resolverd.resolver.ports import Resolver
from resolverd.state.base import Store
from resolverd.telemetry import sendmail, webhook, wording
from resolverd.telemetry.alerts import Notice
from resolverd.telemetry.feed import Feed
from resolverd.telemetry.notifier import Notifier, Way
from resolverd.telemetry.troubles import Condition
from resolverd.wire import codes
from resolverd.wire.names import Address, from_text, lower

_PATIENCE: Final = 3.0
"""Seconds for the store to answer."""


def notifier(
    runtime: Callable[[], Runtime], own: Store, fleet: Fleet | None, feed: Feed, clock: Clock, counters: Counters
) -> Notifier:
    """The notifier of the daemon, by the configuration that `runtime` has at each moment. `own`: the host's own store."""

    async def condition() -> Condition:
        now = runtime()
        try:
            async with asyncio.timeout(_PATIENCE):
                fault = (await own.condition()).fault
        except TimeoutError:
            fault = "does not answer: the disk is slow, or hangs"
        readiness = now.priming.readiness
        return Condition(
            now.engine.statuses(),
            "" if readiness.ready else readiness.reason or "not ready yet",
            now.resolution.clock_fault or "",
            fault,
            counters.get("store_set_aside"),
            counters.get("store_recovered"),
            (await fleet.store.condition()).fault if fleet is not None else "",
        )

    def settings() -> AlertsSettings:
        return runtime().settings.alerts

    async def by_mail(notice: Notice) -> bool:
        to = settings().mail
        if to:
            message = wording.mail(notice, to, socket.gethostname(), _when(clock))
            await sendmail.send(message, sendmail.program())
        return bool(to)

    async def by_webhook(notice: Notice) -> bool:
        url = settings().webhook
        if url is None or url.fault:
            return False
        lookup = Lookup(runtime().resolution.resolve, clock)
        await webhook.post(url.reveal(), wording.document(notice, socket.gethostname(), _when(clock)), lookup)
        return True

    ways = (Way("mail", by_mail, counters), Way("webhook", by_webhook, counters))
    return Notifier(condition, ways, feed, clock, fleet.notices.own if fleet is not None else None)


class Lookup:
    """Looks up the addresses of a host (`webhook.Lookup`)."""

    def __init__(self, resolver: Resolver, clock: Clock):
        self._resolver = resolver
        self._clock = clock

    async def __call__(self, host: str, version: int) -> list[Address]:
        """Its addresses in an address family."""
        try:
            name = lower(from_text(host))
        except ValueError:
            return []
        rtype = codes.A if version == 4 else codes.AAAA
        answer = await self._resolver.resolve(name, rtype, deadline=self._clock.monotonic() + webhook.PATIENCE / 2)
        found = answer.final(rtype) if answer.rcode == codes.NOERROR else None
        return [ip_address(rdata) for rdata in found.rdatas] if found is not None else []


def _when(clock: Clock) -> datetime:
    return datetime.fromtimestamp(clock.wall()).astimezone()
