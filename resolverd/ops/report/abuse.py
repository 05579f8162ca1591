"""Clients that hammer at logins or talk too early, and what the jails of contrib/fail2ban would make of the log."""

import re
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from resolverd import bounds
from resolverd.ops.maillog import AuthFailure, LostConnection, Pregreet, Rejection
from resolverd.ops.report.top import Top

FIND_TIME: Final = 600
"""Seconds in which a jail counts, fail2ban's default (jail.conf, findtime)."""
_BOT: Final = re.compile(r"(?:EHLO|HELO) ylmf-pc\b")
_OURS: Final = re.compile(
    r"<[^<>]*>: Recipient address rejected: "
    r"(?:(?:Client host|Helo command|Sender address|Recipient address|Message) rejected|Service unavailable) \("
)
_THEIRS: Final = re.compile(
    r"(?:(?:<[^<>]*>)?: )?(?:(?:Client host|Helo command|Sender address|Recipient address) rejected: |Relay access denied|"
    r"Service unavailable; )"
)
"""What the filter postfix-resolverd counts; a test holds both together."""


@dataclass
class Jail:
    """A jail: who was found `maxretry` times in FIND_TIME is banned for `bantime` seconds."""

    name: str
    maxretry: int
    bantime: int
    found: int = 0
    bans: int = 0
    kept_off: int = 0
    """Lines that would not be there, as their client would have been banned by then."""
    banned: Top[str] = field(default_factory=Top)
    _recent: OrderedDict[str, deque[int]] = field(default_factory=OrderedDict)
    _until: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def take(self, at: int, client: str) -> None:
        """A line that its filter finds."""
        if at < self._until.get(client, at):
            self.kept_off += 1
            return
        self.found += 1
        recent = self._recent.setdefault(client, deque(maxlen=self.maxretry))
        recent.append(at)
        if len(recent) == self.maxretry and at - recent[0] <= FIND_TIME:
            self.bans += 1
            self.banned.add(client)
            self._until[client] = at + self.bantime
            del self._recent[client]
        for table in (self._recent, self._until):
            if len(table) > bounds.REPORT_ROWS:
                table.popitem(last=False)


@dataclass
class Abuse:
    """The counts."""

    logins_failed: Top[str] = field(default_factory=Top)
    logins_left: Top[str] = field(default_factory=Top)
    pregreets: Top[str] = field(default_factory=Top)
    said: Top[str] = field(default_factory=Top)
    jails: tuple[Jail, Jail, Jail] = field(
        default_factory=lambda: (
            Jail("postfix-flood-attack", 5, 600), Jail("postfix", 3, 3600), Jail("postfix-pregreet", 1, 86_400),
        )
    )  # fmt: skip
    """As contrib/fail2ban has them."""

    def take_auth(self, record: AuthFailure) -> None:
        """A login refused."""
        self.logins_failed.add(record.client_address)

    def take_lost(self, record: LostConnection) -> None:
        """A client gone."""
        if record.why == "lost connection" and record.after == "AUTH":
            self.logins_left.add(record.client_address)
            self.jails[0].take(record.at, record.client_address)
        elif record.why in ("improper command pipelining", "too many errors"):
            self.jails[1].take(record.at, record.client_address)

    def take_pregreet(self, record: Pregreet) -> None:
        """A client too early."""
        self.pregreets.add(record.client_address)
        self.said.add(record.said[:60])
        if _BOT.match(record.said):
            self.jails[2].take(record.at, record.client_address)

    def take_rejection(self, record: Rejection) -> None:
        """A refusal."""
        if record.service != "smtpd" or record.kind != "reject":
            return
        if (record.dsn and _OURS.match(record.text)) or (record.code >= 500 and record.dsn and _THEIRS.match(record.text)):
            self.jails[1].take(record.at, record.client_address)
