"""A question is carried to its server, and what was paid for it made right: each packet that leaves is paid for once."""

from collections.abc import Generator
from typing import Any

from resolverd.resolver.iterator.budget import Work
from resolverd.wire.ask import Ask, Join, Reply
from resolverd.wire.names import Name


def carried(work: Work, ask: Ask, zone: Name) -> Generator[Any, Any, Reply]:
    """What came of a question that has been paid for as one for servers of `zone`."""
    reply: Reply | None = yield ask
    paid = 1
    if reply is None:
        # Whoever waits for somebody else's packet gets his money back at once: it may be lost, and all wait to the end.
        work.settle(ask.qname, zone, -paid)
        paid = 0
        reply = yield Join(ask)
    if reply.sent != paid:
        work.settle(ask.qname, zone, reply.sent - paid)
    return reply
