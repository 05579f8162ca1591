"""Which of the verdicts kept somebody wants to see."""

from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

from resolverd.mail.findings import Action
from resolverd.policy.verdict_records import KeptAttempt, Summary
from resolverd.pseudonyms import Pseudonyms


class Mailbox(NamedTuple):
    """Whose mail is meant: that of one address, or of a domain and those below it. `text` in lower case; empty: the null sender.

    `hidden`: how its address stands in what was kept while nobody was to be named; there a domain cannot be told.
    """

    text: str
    hidden: str | None = None

    @classmethod
    def of(cls, text: str, pseudonyms: Pseudonyms | None) -> "Mailbox":
        """What is meant by a mail address, a domain, or ``<>``."""
        bare = text.strip().removeprefix("<").removesuffix(">").lower()
        return cls(bare.removeprefix("@"), pseudonyms.of(bare) if pseudonyms is not None else None)

    def has(self, kept: str | None) -> bool:
        """Whether an address is meant."""
        if kept is None:
            return False
        kept = kept.lower()
        if kept == self.text or (self.hidden and kept == self.hidden):
            return True
        domain = kept.rpartition("@")[2]
        return bool(self.text) and "@" not in self.text and (domain == self.text or domain.endswith(f".{self.text}"))


class Wanted(NamedTuple):
    """What is looked for; None and empty: whatever it is. Verdicts at other states than RCPT decide nothing, and are none.

    `since` and `until` in wall seconds, both included. `code`: that of any finding. `listed_by`: how texts name a list.
    `text`: in lower case, somewhere in names, addresses, reason or reference.
    """

    since: float
    until: float
    action: Action | None = None
    client: IPv4Network | IPv6Network | None = None
    sender: Mailbox | None = None
    recipient: Mailbox | None = None
    code: str = ""
    listed_by: str = ""
    text: str = ""

    def is_client(self, octets: bytes) -> bool:
        """Whether a client, its address as octets, is meant."""
        if (network := self.client) is None:
            return True
        if len(octets) * 8 != network.max_prefixlen:
            return False
        return int.from_bytes(octets, "big") & int(network.netmask) == int(network.network_address)

    def has(self, verdict: Summary) -> bool:
        """Whether a verdict is wanted."""
        attempt = verdict.attempt or _UNTOLD
        return (
            self.since <= verdict.at <= self.until
            and (self.action is None or verdict.action is self.action)
            and self.is_client(b"" if verdict.client is None else verdict.client.packed)
            and attempt.protocol_state.upper() == "RCPT"
            and (verdict.attempt is not None or not verdict.reason.startswith("nothing to decide"))
            and (self.sender is None or self.sender.has(attempt.sender))
            and (self.recipient is None or self.recipient.has(attempt.recipient or None))
            and (not self.code or self.code in verdict.codes or self.code in verdict.neutral)
            and (not self.listed_by or self.listed_by in verdict.lists)
            and (not self.text or self.text in _words(verdict, attempt))
        )


_UNTOLD = KeptAttempt("", "", "", None, "", "RCPT")
"""Of verdicts that are kept without what they are on."""


def _words(verdict: Summary, attempt: KeptAttempt) -> str:
    said = (verdict.id, verdict.reason, str(verdict.client or ""), *(each or "" for each in attempt[:5]))
    return "\n".join(said).lower()
