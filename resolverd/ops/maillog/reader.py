"""Lines in, records out, and the messages between the lines by their queue ids."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Final

from resolverd import bounds
from resolverd.ops.maillog import postfix
from resolverd.ops.maillog.decisions import decision
from resolverd.ops.maillog.lines import OURS, Lines
from resolverd.ops.maillog.records import Queued, Received, Record
from resolverd.ops.maillog.stamps import Stamps
from resolverd.values import MutableValue, replace

_FRONT: Final = frozenset(("smtpd", "postscreen"))


class _Message(MutableValue):
    """What is known of a message by its queue id."""

    client_name: str = ""
    client_address: str = ""
    received: bool = False
    queued: bool = False
    sender: str | None = None
    size: int | None = None


class Reader:
    """Reads a log, in the order in which it was written.

    `now`: see `Stamps`; may be set anew before each file. `idents`: what our own daemon is called in the log. `days`: only lines
    from the first second to before the second are read. Its memory is bounded: of messages of which more lines may come the
    latest bounds.LOG_MESSAGES are remembered, and one that was forgotten has no sender in its Delivery.
    """

    def __init__(self, now: int, *, idents: Iterable[str] = ("resolverd",), days: tuple[int, int] | None = None) -> None:
        self._stamps = Stamps(now)
        self._lines = Lines(self._stamps, frozenset(idents))
        self.idents = self._lines.idents
        self._days = days
        self._messages: OrderedDict[tuple[str, str], _Message] = OrderedDict()
        self.lines = 0
        """Lines read."""
        self.skipped = 0
        """Of those, lines that no record came of: other programs', other days', and such as say nothing that is looked for."""

    @property
    def now(self) -> int:
        """When the last line was written at the latest."""
        return self._stamps.now

    @now.setter
    def now(self, now: int) -> None:
        self._stamps = self._lines.stamps = Stamps(now)

    def read(self, lines: Iterable[bytes]) -> Iterator[Record]:
        """The records of lines; what is not UTF-8 in them has a replacement character in its place."""
        days = self._days
        split = self._lines.split
        for line in lines:
            self.lines += 1
            found = split(line.decode(errors="replace").rstrip("\r\n"))
            if found is None or (days is not None and not days[0] <= found[0] < days[1]):
                self.skipped += 1
                continue
            at, tag, text = found
            record = decision(at, text) if tag is OURS else self._postfix(at, tag.instance, tag.service, text)
            if record is None:
                self.skipped += 1
            else:
                yield record

    def _postfix(self, at: int, instance: str, service: str, text: str) -> Record | None:
        match = postfix.QUEUE_ID.match(text)
        if match is None or match[1] in ("warning", "error", "fatal", "panic"):
            return (postfix.said_by_smtpd(at, text) if service in _FRONT else None) or postfix.trouble(at, service, text)
        queue_id = match[1]
        text = text[match.end() :]
        if service in _FRONT:
            return self._front(at, (instance, queue_id), service, text)
        if text.startswith("to=<"):
            return self._delivery(at, (instance, queue_id), service, text)
        if text.startswith("from=<"):
            return self._queued(at, (instance, queue_id), text)
        if service == "pickup":
            message = self._message((instance, queue_id))
            message.received = True
            return Received(at, queue_id, "", "")
        if service == "cleanup":
            return postfix.rejection(at, service, queue_id, text)
        if text == "removed":
            self._messages.pop((instance, queue_id), None)
        return None

    def _front(self, at: int, key: tuple[str, str], service: str, text: str) -> Record | None:
        if client := postfix.CLIENT.match(text):
            message = self._message(key)
            message.client_name, message.client_address = client.groups()
            message.received = True
            return Received(at, key[1], message.client_name, message.client_address)
        return postfix.said_by_smtpd(at, text) or postfix.rejection(at, service, key[1], text)

    def _queued(self, at: int, key: tuple[str, str], text: str) -> Record | None:
        if not (match := postfix.QUEUED.match(text)):
            return None
        message = self._message(key)
        if message.queued:
            return None
        message.queued = True
        message.sender, message.size = match[1], int(match[2])
        return Queued(at, key[1], message.sender, message.size, message.received, message.client_name, message.client_address)

    def _delivery(self, at: int, key: tuple[str, str], service: str, text: str) -> Record | None:
        record = postfix.delivery(at, service, key[1], text)
        message = self._messages.get(key)
        if record is None or message is None:
            return record
        return replace(
            record,
            sender=message.sender,
            size=message.size,
            client_name=message.client_name,
            client_address=message.client_address,
        )

    def _message(self, key: tuple[str, str]) -> _Message:
        message = self._messages.get(key)
        if message is None:
            message = self._messages[key] = _Message()
            if len(self._messages) > bounds.LOG_MESSAGES:
                self._messages.popitem(last=False)
        return message
