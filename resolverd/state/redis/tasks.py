"""Tasks that go on as long as the store does."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

from resolverd import logs
from resolverd.metrics import Counters

_AFTER_BUG: Final = 1.0
"""Seconds."""

log = logging.getLogger(__name__)


async def always(work: Callable[[], Coroutine[Any, Any, None]], what: str, counters: Counters) -> None:
    """Do some endless work, and begin anew where a bug has ended it."""
    while True:
        try:
            await work()
        except Exception as error:
            logs.bug(log, counters, "store", "%s failed by a bug", what, error=error)
        await asyncio.sleep(_AFTER_BUG)


async def end(*tasks: asyncio.Task[Any]) -> None:
    """End tasks, and wait until they have."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
