"""Mails that were put off or refused, and what became of them: told by sender and recipient, as clients of a pool change."""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from resolverd import bounds
from resolverd.ops.maillog import Decision, Delivery, Rejection
from resolverd.ops.report.top import Top
from resolverd.ops.report.traffic import folded
from resolverd.values import MutableValue

LATEST_RETRY = 6 * 3600
"""Seconds within which nearly everybody who comes again has (RFC 5321 §4.5.4.1: at least once in every 2 to 3 hours at last)."""


class _Mail(MutableValue):
    """A mail that was not taken."""

    at: int
    greylisted: bool
    reason: str
    client: str
    attempts: int = 1


@dataclass
class Waits:
    """Seconds until mails came through; beyond three digits they are rounded, so that no log makes them many."""

    counts: Counter[int] = field(default_factory=Counter)

    def add(self, wait: int) -> None:
        """One more; from 100 s on to 10 s, from 1000 s on to 100 s."""
        unit = 10 ** max(0, len(str(max(wait, 0))) - 2)
        self.counts[max(wait, 0) // unit * unit if unit > 1 else max(wait, 0)] += 1

    def percentile(self, share: float) -> int | None:
        """The wait that so many did not exceed; None: nobody waited."""
        left = share * self.counts.total()
        for wait, count in sorted(self.counts.items()):
            left -= count
            if left <= 0:
                return wait
        return None


@dataclass
class Comebacks:
    """What is waited for, and what has come."""

    greylisted: int = 0
    """Attempts put off."""
    mails: int = 0
    """Mails, by sender and recipient, that they belong to."""
    came_back: int = 0
    waits: Waits = field(default_factory=Waits)
    candidates: Top[tuple[str, str, str, str, str]] = field(default_factory=Top)
    """Refused, later taken: sender, recipient, client, why refused, how it came through."""
    forgotten: int = 0
    last: int = 0
    _pending: OrderedDict[tuple[str, str], _Mail] = field(default_factory=OrderedDict)

    def take_rejection(self, record: Rejection) -> None:
        """A mail was not taken."""
        self.last = max(self.last, record.at)
        if not record.counts:
            return
        self.greylisted += record.greylisted
        if not record.recipient:
            return
        key = _key(record.sender, record.client_address, record.recipient)
        mail = self._pending.get(key)
        if mail is not None:
            mail.attempts += 1
            if not record.greylisted and mail.greylisted:
                mail.greylisted, mail.reason = False, record.reason
            return
        self.mails += record.greylisted
        self._pending[key] = _Mail(record.at, record.greylisted, record.reason, record.client_address)
        if len(self._pending) > bounds.REPORT_PENDING:
            self._pending.popitem(last=False)
            self.forgotten += 1

    def take_delivery(self, record: Delivery) -> None:
        """A mail was delivered."""
        if record.status == "sent" and record.sender is not None:
            recipients = filter(None, (record.recipient, record.original_recipient))
            self._came(record.at, record.sender, record.client_address, recipients, "delivered")

    def take_decision(self, record: Decision) -> None:
        """Our own line: who is let past everything that was found has been allow-listed."""
        if record.action == "pass" and record.reason.startswith(("allowed", "exempt recipient")):
            self._came(record.at, record.sender, record.client_address, (record.recipient,), record.reason)

    def _came(self, at: int, sender: str, client: str, recipients: Iterable[str], how: str) -> None:
        for recipient in recipients:
            mail = self._pending.pop(_key(sender, client, recipient), None)
            if mail is None:
                continue
            if mail.greylisted:
                self.came_back += 1
                self.waits.add(at - mail.at)
            else:
                self.candidates.add((folded(sender), folded(recipient), mail.client, mail.reason, how))

    def waiting(self) -> tuple[int, int]:
        """Greylisted mails that have not come: those who may still, and those who would have by now."""
        late = sum(1 for each in self._pending.values() if each.greylisted and self.last - each.at > LATEST_RETRY)
        return sum(1 for each in self._pending.values() if each.greylisted) - late, late


def _key(sender: str, client: str, recipient: str) -> tuple[str, str]:
    """Who writes to whom. Bounces have no sender, and are told from one another by who brings them."""
    return folded(sender) or f"[{client}]", folded(recipient)
