"""Overrides: what the admin allows and denies, for how long, for whom, and why. Pure: values and an index.

What is named: an address, a network, a domain (itself and everything below), or a sender's address. A domain is a client's
where the client's name leads back to its address (RFC 8601 §2.7.3), never by what the client says of itself; what the
client says of itself can be held against it.

Of several in force, the most specific counts: sender address, client address, domain (the longest), network (the
narrowest); of two on the same subject the one for this recipient alone; of two such the later. So a ban for an hour wins
over an older allowance, and gives it back when the hour is over.
"""

import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import Final, NamedTuple

from resolverd.dnsbl.names import unmapped
from resolverd.mail import patterns
from resolverd.mail.domains import canonical, is_suffix, mailbox
from resolverd.mail.patterns import IPNetwork
from resolverd.wire.names import Address

ALLOW: Final = "allow"
DENY: Final = "deny"
ACTIONS: Final = (ALLOW, DENY)

EVERYTHING: Final = "all"
LISTS: Final = "lists"
GREYLIST: Final = "greylist"
SPF: Final = "spf"
SCOPES: Final = (EVERYTHING, LISTS, GREYLIST, SPF)
"""What an allowance reaches. A denial refuses, whatever else; it has no other scope than all."""

MAX_TEXT: Final = 200
"""Characters of a reason, an owner, a reference."""
MAX_SUBJECT: Final = 320
"""Characters of a sender's or recipient's address (RFC 5321 §4.5.3.1: 64, ``@``, 255)."""

_LATEST: Final = 2**32 - 1
_WIDEST: Final = {4: 8, 6: 19}
"""Prefixes of the largest networks that are somebody's: a whole /8, what a registry gives the largest providers."""
_BRACKETS: Final = str.maketrans("", "", "[]")
_ADDRESS_CHARS = re.compile(r"[^\s<>()\[\]\\,;:\"\x00-\x1f\x7f]+")


class Kind(StrEnum):
    """What an override names, the most specific first."""

    SENDER = "sender"
    ADDRESS = "address"
    DOMAIN = "domain"
    NETWORK = "network"


_RANK = {Kind.SENDER: 3, Kind.ADDRESS: 2, Kind.DOMAIN: 1, Kind.NETWORK: 0}


class Role(StrEnum):
    """What the subject of an override is in an attempt."""

    CLIENT = "client"
    SENDER = "sender"
    SENDER_DOMAIN = "sender_domain"
    HELO = "helo"


class BadOverride(ValueError):
    """What cannot be overridden so; the message says why, and what to write instead."""


class OverrideKey(NamedTuple):
    """What tells overrides apart: those with the same are one, of which the later counts. All in canonical text.

    `temporary`: of a denial, that it puts off (450) while it lasts, and refuses nobody for good.
    """

    action: str
    subject: str
    scope: str = EVERYTHING
    recipient: str = ""
    temporary: bool = False


class Override(NamedTuple):
    """One override. `recipient`: for mail to this address or domain only, empty for all. Times in wall seconds.

    `until` is 0 for one without end. `from_id`: the verdict that was the occasion. `hits`: how often it has counted for an
    attempt or in an answer of the zones, last at `last` (0: never).
    """

    key: OverrideKey
    since: int
    until: int = 0
    owner: str = ""
    reason: str = ""
    from_id: str = ""
    hits: int = 0
    last: int = 0

    @property
    def kind(self) -> Kind:
        """What it names."""
        return kind_of(self.key.subject)

    def in_force(self, now: float) -> bool:
        """Whether it is in force at `now` (wall seconds)."""
        return not self.until or now < self.until


class OverrideMatch(NamedTuple):
    """An override that is in force for an attempt, and what its subject is in it."""

    override: Override
    role: Role


def subject_of(text: str) -> str:
    """A subject in canonical text: an address, a network, a domain, or a sender's address. Raises BadOverride.

    How others write these is understood where it is plain (`patterns`): ``192.0.2.*``, ``*.example.com``, ``[2001:db8::1]``.
    """
    text = text.strip().removeprefix("<").removesuffix(">")
    if "@" in text:
        return _mailbox(text)
    try:
        found = patterns.networks(text)
        return patterns.host(text) if found is None else _network(text, found)
    except BadOverride:
        raise
    except ValueError as error:
        raise BadOverride(f"{text[:100]!r} {error}; expected an IP address, a network, a domain or a sender's address") from None


def recipient_of(text: str) -> str:
    """A recipient's address, or a domain for everybody in it; empty for all. Raises BadOverride."""
    text = text.strip().removeprefix("<").removesuffix(">")
    if not text or "@" in text:
        return _mailbox(text) if text else ""
    domain = canonical(text.removeprefix("*").removeprefix("."))
    if domain is None or domain in patterns.ROLES:
        raise BadOverride(f"{text[:100]!r} is neither a recipient's address nor a domain")
    return domain


def too_wide(subject: str) -> str:
    """Why a canonical subject reaches so many that it is rather a slip, if it does."""
    kind = kind_of(subject)
    if kind is Kind.DOMAIN and is_suffix(subject):
        return f"{subject} is a public suffix: everybody's domains are below it"
    if kind is Kind.NETWORK:
        network = ip_network(subject)
        if network.prefixlen < _WIDEST[network.version]:
            return f"{subject} is wider than /{_WIDEST[network.version]}"
    return ""


def key_of(action: str, subject: str, scope: str = "", recipient: str = "", *, temporary: bool = False) -> OverrideKey:
    """The key of an override as somebody wrote it. Raises BadOverride."""
    if action not in ACTIONS:
        raise BadOverride(f"{action[:40]!r} is neither allow nor deny")
    scope = scope or EVERYTHING
    if scope not in SCOPES:
        raise BadOverride(f"{scope[:40]!r} is no scope; there are {', '.join(SCOPES)}")
    if action == DENY and scope != EVERYTHING:
        raise BadOverride("a denial refuses altogether: it has no scope")
    if temporary and action != DENY:
        raise BadOverride("only a denial is temporary or not; an allowance ends when it says (for)")
    return OverrideKey(action, subject_of(subject), scope, recipient_of(recipient), temporary)


def note_of(name: str, text: str) -> str:
    """A reason, an owner or a reference as it may be kept. Raises BadOverride."""
    text = text.strip()
    if len(text) > MAX_TEXT or not text.isprintable():
        raise BadOverride(f"{name}: expected at most {MAX_TEXT} printable characters")
    return text


def kind_of(subject: str) -> Kind:
    """What a canonical subject names."""
    if "@" in subject:
        return Kind.SENDER
    if "/" in subject:
        return Kind.NETWORK
    return Kind.ADDRESS if ":" in subject or subject.replace(".", "").isdigit() else Kind.DOMAIN


def _mailbox(text: str) -> str:
    local, _, domain = text.rpartition("@")
    if not local or local == "*":
        raise BadOverride(f"{text[:100]!r}: for all addresses of a domain, write the domain alone")
    host = canonical(domain)
    if host is None or not _ADDRESS_CHARS.fullmatch(local) or len(local) + len(host) >= MAX_SUBJECT:
        raise BadOverride(f"{text[:100]!r} is no mail address")
    return f"{local.lower()}@{host}"


def _network(text: str, found: tuple[IPNetwork, ...]) -> str:
    if len(found) > 1:
        raise BadOverride(f"{text[:100]!r} is several networks, each an override of its own: {', '.join(map(str, found[:8]))}")
    network = found[0]
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    if _has_host_bits(text, network):
        raise BadOverride(f"{text[:100]!r} has bits behind its prefix: write {network}, or the address alone")
    if not network.prefixlen:
        raise BadOverride(f"{text[:100]} is everybody")
    return str(network)


def _has_host_bits(text: str, network: IPNetwork) -> bool:
    bare = text.translate(_BRACKETS).partition("/")[0]
    try:
        return network.network_address not in (ip_address(bare), unmapped(ip_address(bare)))
    except ValueError:  # its beginning alone was written
        return False


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


# -- how they are kept -----------------------------------------------------------------------------------------------------

_VERSION: Final = 1
_HEAD = struct.Struct(">BIIII")


_PUT_OFF: Final = "defer"
"""How the action of a temporary denial is written."""


def encode_key(key: OverrideKey) -> bytes:
    """``deny all 192.0.2.7``, ``defer all 192.0.2.7`` (a temporary denial), ``allow lists example.com anna@example.org``: no part
    has a blank in it."""
    action = _PUT_OFF if key.temporary else key.action
    return " ".join(filter(None, (action, key.scope, key.subject, key.recipient))).encode()


def encode(override: Override) -> bytes:
    """Big endian: version 1; since, until, hits, last (32 bits each); owner, reason, reference: a length of 16 bits, UTF-8."""
    texts = [text.encode() for text in (override.owner, override.reason, override.from_id)]
    numbers = (min(each, _LATEST) for each in (override.since, override.until, override.hits, override.last))
    return _HEAD.pack(_VERSION, *numbers) + b"".join(len(each).to_bytes(2, "big") + each for each in texts)


def decode_key(octets: bytes) -> OverrideKey | None:
    """The key, or None for octets that are none."""
    try:
        action, scope, subject, *recipient = octets.decode().split(" ")
        put_off = action == _PUT_OFF
        key = key_of(DENY if put_off else action, subject, scope, *recipient, temporary=put_off)
    except (ValueError, TypeError):
        return None
    return key if encode_key(key) == octets else None


def decode(key: bytes, octets: bytes) -> Override | None:
    """The record, or None for octets that are none: damaged ones count as absent."""
    found = decode_key(key)
    if found is None:
        return None
    try:
        version, since, until, hits, last = _HEAD.unpack_from(octets)
        texts, at = [], _HEAD.size
        for _ in range(3):
            end = at + 2 + int.from_bytes(octets[at : at + 2], "big")
            if end > len(octets) or at + 2 > len(octets):
                return None
            texts.append(octets[at + 2 : end].decode())
            at = end
    except (ValueError, struct.error):
        return None
    if version != _VERSION or at != len(octets):
        return None
    owner, reason, from_id = texts
    return Override(found, since, until, owner, reason, from_id, hits, last)
