"""Which overrides are in force for an attempt, and which of them decides.

Of several in force, the most specific counts: sender address, client address, domain (the longest), network (the
narrowest); of two on the same subject the one for this recipient alone; of two such the later. So a ban for an hour wins
over an older allowance, and gives it back when the hour is over.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from ipaddress import ip_network
from typing import NamedTuple

from resolverd.dnsbl.names import unmapped
from resolverd.mail.domains import mailbox
from resolverd.mail.patterns import IPNetwork
from resolverd.overrides.rules import ALLOW, DENY, EVERYTHING, LISTS, Kind, Override, OverrideKey
from resolverd.wire.names import Address

_RANK = {Kind.SENDER: 3, Kind.ADDRESS: 2, Kind.DOMAIN: 1, Kind.NETWORK: 0}


class Role(StrEnum):
    """What the subject of an override is in an attempt."""

    CLIENT = "client"
    SENDER = "sender"
    SENDER_DOMAIN = "sender_domain"
    HELO = "helo"


class OverrideMatch(NamedTuple):
    """An override that is in force for an attempt, and what its subject is in it."""

    override: Override
    role: Role


class Subjects(NamedTuple):
    """Who takes part in an attempt. `names`: of the client, those that lead back to it; lower case, as is everything here."""

    client: Address | None = None
    names: tuple[str, ...] = ()
    sender: str = ""
    helo: str = ""
    recipient: str = ""


class OverrideIndex:
    """Overrides, found by whom they name. Whoever changes it says so on the event loop; nothing here waits."""

    def __init__(self, overrides: Iterable[Override] = ()) -> None:
        self._by_subject: dict[str, dict[OverrideKey, Override]] = {}
        self._prefixes: Counter[tuple[int, int]] = Counter()
        self._kinds: Counter[Kind] = Counter()
        self._recipients: Counter[str] = Counter()
        self._count = 0
        for override in overrides:
            self.put(override)

    def __len__(self) -> int:
        """Overrides kept, expired ones included."""
        return self._count

    def __iter__(self) -> Iterator[Override]:
        for overrides in self._by_subject.values():
            yield from overrides.values()

    def get(self, key: OverrideKey) -> Override | None:
        """The override of this key."""
        return self._by_subject.get(key.subject, {}).get(key)

    def of(self, subject: str) -> list[Override]:
        """Those of a canonical subject."""
        return list(self._by_subject.get(subject, {}).values())

    def put(self, override: Override) -> None:
        """Keep it, in place of one with the same key."""
        key = override.key
        of_subject = self._by_subject.setdefault(key.subject, {})
        if key not in of_subject:
            self._count += 1
            self._kinds[override.kind] += 1
            if key.recipient:
                self._recipients[key.recipient] += 1
            if override.kind is Kind.NETWORK:
                self._prefixes[_prefix(key.subject)] += 1
        of_subject[key] = override

    def drop(self, key: OverrideKey) -> Override | None:
        """Forget it; what it was."""
        of_subject = self._by_subject.get(key.subject, {})
        override = of_subject.pop(key, None)
        if override is None:
            return None
        self._count -= 1
        self._kinds[override.kind] -= 1
        if key.recipient:
            self._recipients[key.recipient] -= 1
            if not self._recipients[key.recipient]:
                del self._recipients[key.recipient]
        if override.kind is Kind.NETWORK:
            prefix = _prefix(key.subject)
            self._prefixes[prefix] -= 1
            if not self._prefixes[prefix]:
                del self._prefixes[prefix]
        if not of_subject:
            del self._by_subject[key.subject]
        return override

    @property
    def names_domains(self) -> bool:
        """Whether any names a domain, so that a client's names matter."""
        return self._kinds[Kind.DOMAIN] > 0

    @property
    def names_senders(self) -> bool:
        """Whether any names a sender's address."""
        return self._kinds[Kind.SENDER] > 0

    def names_recipient(self, recipient: str) -> bool:
        """Whether any is for this recipient and not for all."""
        if not self._recipients:
            return False
        recipient = mailbox(recipient)
        return recipient in self._recipients or any(each in self._recipients for each in _suffixes(recipient.rpartition("@")[2]))

    def matches(self, subjects: Subjects, now: float) -> list[OverrideMatch]:
        """Those in force for these subjects at `now` (wall seconds), the most specific first."""
        if not self._count:
            return []
        found: dict[OverrideKey, OverrideMatch] = {}
        for subject, role in self._subjects(subjects):
            for override in self._by_subject.get(subject, {}).values():
                if override.in_force(now) and _is_for(override.key.recipient, subjects.recipient):
                    found.setdefault(override.key, OverrideMatch(override, role))
        return sorted(found.values(), key=lambda matches: _specificity(matches.override), reverse=True)

    def matching_domain(self, domain: str, now: float) -> list[OverrideMatch]:
        """Those that name a domain or one above it and hold for everybody, the most specific first."""
        return self.matches(Subjects(names=(domain,)), now)

    def _subjects(self, subjects: Subjects) -> Iterator[tuple[str, Role]]:
        if subjects.client is not None:
            client = unmapped(subjects.client)
            yield str(client), Role.CLIENT
            for version, length in self._prefixes:
                if version == client.version:
                    yield str(ip_network((client, length), strict=False)), Role.CLIENT
        if subjects.sender:
            yield subjects.sender, Role.SENDER
        if not self.names_domains:
            return
        for name in subjects.names:
            yield from ((each, Role.CLIENT) for each in _suffixes(name))
        yield from ((each, Role.SENDER_DOMAIN) for each in _suffixes(subjects.sender.rpartition("@")[2]))
        yield from ((each, Role.HELO) for each in _suffixes(subjects.helo))


def decide(matches: Iterable[OverrideMatch]) -> Override | None:
    """The override that decides: of those in force, most specific first, the first that allows everything or denies.

    What the client says of itself may be forged, so it is no ground to allow everything. Who is denied for good is not better
    off for a ban beside it: of the denials before any allowance, one that is not temporary decides.
    """
    temporary = None
    for override, role in matches:
        if override.key.action == DENY:
            if not override.key.temporary:
                return override
            temporary = temporary or override
        elif override.key.scope == EVERYTHING and role in (Role.CLIENT, Role.SENDER):
            return temporary or override
    return temporary


def decide_for_lists(matches: Iterable[OverrideMatch]) -> Override | None:
    """The override that says how lists are to be taken: the one that decides, else an allowance for lists.

    A listing is a refusal for good wherever it is looked up, so a temporary denial says nothing in a list, as if it were not.
    """
    matches = [each for each in matches if not each.override.key.temporary]
    decisive = decide(matches)
    if decisive is not None:
        return decisive
    return next((each.override for each in matches if each.override.key.scope == LISTS and each.role is Role.CLIENT), None)


def _prefix(subject: str) -> tuple[int, int]:
    network: IPNetwork = ip_network(subject)
    return network.version, network.prefixlen


def _suffixes(name: str) -> Iterator[str]:
    """A name and each domain above it."""
    while name:
        yield name
        name = name.partition(".")[2]


def _is_for(wanted: str, recipient: str) -> bool:
    """Whether an override for `wanted` means this recipient; who asks without one hears of those for all."""
    if not wanted:
        return True
    return recipient == wanted or ("@" not in wanted and wanted in _suffixes(recipient.rpartition("@")[2]))


def _specificity(override: Override) -> tuple[int, int, bool, bool, int, bool]:
    subject, recipient = override.key.subject, override.key.recipient
    kind = override.kind
    length = subject.count(".") if kind is Kind.DOMAIN else int(subject.rpartition("/")[2]) if kind is Kind.NETWORK else 0
    return _RANK[kind], length, bool(recipient), "@" in recipient, override.since, override.key.action == ALLOW
