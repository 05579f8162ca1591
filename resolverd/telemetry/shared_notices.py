"""One notice for a fleet of what all its hosts see: the first that wants to tell of a trouble does, and the others need not."""

import asyncio
import hashlib
import logging
from typing import Final

from resolverd.clock import Clock
from resolverd.failures import StoreError
from resolverd.fleet.duties import claim
from resolverd.fleet.hosts import Hosts
from resolverd.state.base import Store
from resolverd.telemetry.alerts import EVERY, Notice
from resolverd.telemetry.troubles import LIST, QUOTA, WATCH

SEEN_BY_ALL: Final = frozenset({WATCH, LIST, QUOTA})
"""Kinds of which one notice is enough. All others are of the host itself."""
_PATIENCE: Final = 3.0
"""Seconds for the store to say who tells; somebody is told twice rather than not at all."""

log = logging.getLogger(__name__)


class SharedNotices:
    """Who of the hosts that share `store` tells what."""

    def __init__(self, store: Store, hosts: Hosts, clock: Clock) -> None:
        self._store = store
        self._hosts = hosts
        self._clock = clock

    async def own(self, notice: Notice) -> Notice | None:
        """What of a notice this host is to tell; None where others have told all of it within `alerts.EVERY`."""
        if notice.kind not in SEEN_BY_ALL:
            return notice
        try:
            async with asyncio.timeout(_PATIENCE):
                mine = [trouble for trouble in notice.troubles if await self._claim(notice, trouble.subject)]
        except (StoreError, TimeoutError) as error:
            log.debug("it is not known whether another host tells of it: %s", error)
            return notice
        return notice._replace(troubles=tuple(mine)) if mine else None

    async def _claim(self, notice: Notice, subject: str) -> bool:
        about = hashlib.blake2b(subject.encode("utf-8", "replace"), digest_size=12).hexdigest()
        name = f"notice {notice.kind} {'end' if notice.ended else 'begin'} {about}"
        return await claim(self._store, name, EVERY, self._hosts.id, self._clock.wall())
