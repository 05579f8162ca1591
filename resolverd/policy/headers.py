"""Headers that wait for their turn: a policy reply carries one action, hence one header, and a message may be due several.

They are queued by Postfix's ``instance``, which all requests of one message share, and go out one a request: with later
recipients, then at DATA. A message to one recipient has two such requests; if it is due three headers, the last two become one.

What tells of the verdict is one for all recipients, the harshest: it waits for DATA, when there are no more of them, unless
nothing can be harsher.
"""

from collections import OrderedDict
from enum import IntEnum
from typing import Final, TypeAlias

from resolverd import bounds
from resolverd.mail.sanitize import sanitize

MAX_AGE: Final = 3600.0
"""Seconds a message's headers are remembered: a slow client with many recipients, not one that has gone away."""


Rank: TypeAlias = tuple[int, float]
"""How harsh a verdict is, and its score."""
HARSHEST: Final[Rank] = (4, 0.0)
"""From this on it makes no difference what else is said of a message."""


class Header(IntEnum):
    """The kinds of header, in the order in which they go out."""

    RECEIVED_SPF = 0
    X_GREYLIST = 1
    X_RESOLVERD = 2


class _Message:
    __slots__ = ("due", "ranks", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.due: dict[Header, str] = {}
        self.ranks: dict[Header, Rank] = {}

    def ready(self) -> list[Header]:
        """Those that need not wait for other recipients."""
        return [kind for kind in self.due if self.ranks[kind] >= HARSHEST]


class HeaderQueue:
    """Headers due by instance; `now` is monotonic seconds."""

    def __init__(self, *, max_messages: int = bounds.MAIL_HEADERS, max_age: float = MAX_AGE) -> None:
        self._messages: OrderedDict[str, _Message] = OrderedDict()
        self._max_messages = max_messages
        self._max_age = max_age

    def __len__(self) -> int:
        """Messages remembered."""
        return len(self._messages)

    def put(self, instance: str, kind: Header, text: str, now: float, rank: Rank = HARSHEST) -> None:
        """A header is due to this message; each kind once, whatever becomes of it. `text` is the whole line, name included.

        One of a higher `rank` takes the place of one that is still due; below `HARSHEST` it is only given by `last`.
        """
        self._expire(now)
        message = self._messages.get(instance)
        if message is None:
            message = self._messages[instance] = _Message(now)
            if len(self._messages) > self._max_messages:
                self._messages.popitem(last=False)
        before = message.ranks.get(kind)
        if before is None or (before < rank and kind in message.due):
            message.ranks[kind] = rank
            message.due[kind] = sanitize(text, bounds.HEADER_OCTETS)

    def take(self, instance: str, now: float) -> str:
        """The next header of this message, which then is no longer due; empty if there is none."""
        self._expire(now)
        message = self._messages.get(instance)
        ready = message.ready() if message is not None else []
        return message.due.pop(min(ready)) if message is not None and ready else ""

    def last(self, instance: str, now: float) -> str:
        """As `take`, when no further request comes: of two headers of ours the later one tells of the earlier, too."""
        self._expire(now)
        message = self._messages.get(instance)
        if message is None or not message.due:
            return ""
        text = message.due.pop(min(message.due))
        if Header.X_RESOLVERD not in message.due or not text.startswith("X-Greylist: "):
            return text
        return sanitize(f"{message.due.pop(Header.X_RESOLVERD)}; {text}", bounds.HEADER_OCTETS)

    def _expire(self, now: float) -> None:
        while self._messages and now - next(iter(self._messages.values())).since > self._max_age:
            self._messages.popitem(last=False)
