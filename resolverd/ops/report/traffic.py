"""What pflogsumm counts, counted as it does: messages received, delivered, deferred, bounced, refused; by day, hour, sender …"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from resolverd import bounds
from resolverd.mail.domains import registrable
from resolverd.ops.maillog import Delivery, Queued, Received, Rejection
from resolverd.ops.maillog.stamps import DAY
from resolverd.ops.report.top import Top

COLUMNS: Final = ("received", "delivered", "deferred", "bounced", "rejected")
"""Of the tables by day and by hour; as pflogsumm has it, what is held, thrown away or only warned of counts as rejected there."""


@dataclass
class Delays:
    """Of deliveries to one domain."""

    deferrals: int = 0
    total: float = 0.0
    most: float = 0.0


@dataclass
class Traffic:
    """The counts."""

    received: int = 0
    delivered: int = 0
    forwarded: int = 0
    deferred: int = 0
    deferrals: int = 0
    bounced: int = 0
    rejected: int = 0
    reject_warnings: int = 0
    held: int = 0
    discarded: int = 0
    octets_received: int = 0
    octets_delivered: int = 0
    senders: Top[str] = field(default_factory=Top)
    sending_domains: Top[str] = field(default_factory=Top)
    recipients: Top[str] = field(default_factory=Top)
    recipient_domains: Top[str] = field(default_factory=Top)
    delays: dict[str, Delays] = field(default_factory=dict)
    deferral_reasons: Top[tuple[str, str]] = field(default_factory=Top)
    bounce_reasons: Top[tuple[str, str]] = field(default_factory=Top)
    days: dict[int, list[int]] = field(default_factory=dict)
    hours: list[list[int]] = field(default_factory=lambda: [[0] * len(COLUMNS) for _ in range(24)])
    days_cut: bool = False
    _deferred: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def take_received(self, record: Received) -> None:
        """A message has come."""
        self.received += 1
        self._count(record.at, 0)

    def take_queued(self, record: Queued) -> None:
        """Its sender and size are known. Forwarded copies and bounces are nobody's."""
        if not record.received:
            return
        sender = folded(record.sender)
        domain = sender.rpartition("@")[2] if "@" in sender else client_domain(record.client_name, record.client_address)
        self.senders.add(sender or "<>", amount=record.size)
        self.sending_domains.add(domain or sender or "<>", amount=record.size)
        self.octets_received += record.size

    def take_delivery(self, record: Delivery) -> None:
        """An attempt to deliver it."""
        recipient = folded(record.recipient)
        domain = recipient.rpartition("@")[2]
        if record.status == "sent":
            if record.text.startswith("forwarded as "):
                self.forwarded += 1
                return
            self.delivered += 1
            self._count(record.at, 1)
            size = record.size or 0
            self.octets_delivered += size
            self.recipients.add(recipient, amount=size)
            self.recipient_domains.add(domain, amount=size)
            self._delay(domain, record.delay).total += record.delay
        elif record.status == "deferred":
            self.deferrals += 1
            self._count(record.at, 2)
            self.deferral_reasons.add((record.service, shortened(record.text)))
            self._delay(domain, record.delay).deferrals += 1
            if record.queue_id not in self._deferred:
                self.deferred += 1
                self._deferred[record.queue_id] = None
                if len(self._deferred) > bounds.REPORT_PENDING:
                    self._deferred.popitem(last=False)
        elif record.status == "bounced":
            self.bounced += 1
            self._count(record.at, 3)
            self.bounce_reasons.add((record.relay, shortened(record.text)))

    def take_rejection(self, record: Rejection) -> None:
        """Something was not taken."""
        if record.kind == "hold":
            self.held += 1
        elif record.kind == "discard":
            self.discarded += 1
        elif record.counts:
            self.rejected += 1
        else:
            self.reject_warnings += 1
        self._count(record.at, 4)

    def _delay(self, domain: str, delay: float) -> Delays:
        found = self.delays.get(domain)
        if found is None:
            if len(self.delays) >= 2 * bounds.REPORT_ROWS:
                self.delays.pop(next(iter(self.delays)))
            found = self.delays[domain] = Delays()
        found.most = max(found.most, delay)
        return found

    def _count(self, at: int, column: int) -> None:
        self.hours[at % DAY // 3600][column] += 1
        day = self.days.get(at // DAY)
        if day is None:
            if len(self.days) >= bounds.REPORT_DAYS:
                self.days_cut = True
                return
            day = self.days[at // DAY] = [0] * len(COLUMNS)
        day[column] += 1


def folded(address: str) -> str:
    """An address with its domain in lower case."""
    local, at, domain = address.rpartition("@")
    return f"{local}@{domain.lower()}" if at else address


def client_domain(name: str, address: str) -> str:
    """The organisation that a client's verified name belongs to, else its address."""
    return address if name in ("", "unknown") else registrable(name) or name.lower()


def shortened(text: str, limit: int = 66) -> str:
    """A remote server's words without who said them, cut."""
    said = text.rpartition(" said: ")[2]
    return said if len(said) <= limit else said[: limit - 3] + "..."
