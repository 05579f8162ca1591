"""The combined zone, pure: where a name stands in it, and what is said there of a subject's reputation.

Many A records, one a reason, are what Postfix and postscreen can filter by; the TXT fits what Postfix keeps of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from ipaddress import IPv4Address, ip_address
from typing import NamedTuple

from resolverd.dnsbl.aggregate import Reputation
from resolverd.dnsbl.names import host_name
from resolverd.dnsbl.spec import ListSpec, ListStatus
from resolverd.mail.domains import is_suffix, registrable
from resolverd.mail.lookups import Listed
from resolverd.wire import codes, rdata
from resolverd.wire.answer import Answer
from resolverd.wire.names import Address, Name, address_of_reversed, from_text, label_count, labels, prepend
from resolverd.wire.rrset import RRset

BL, DBL, WL, SCORE, STATUS = "bl", "dbl", "wl", "score", "_status"

NOPTR, NOFCRDNS, FIRSTSEEN, GREYPASSED = "noptr", "nofcrdns", "firstseen", "greypassed"
OFFENDERS, WHY = "offenders", "why"

CLIENT_SUBZONES = frozenset({NOPTR, NOFCRDNS, FIRSTSEEN, GREYPASSED, OFFENDERS, WHY})
"""Subzones of what the service itself knows of a client; no list is asked for them."""

_ADDRESS_SUBZONES = frozenset({BL, WL, SCORE}) | CLIENT_SUBZONES

DEFAULT_TTL = 300
"""Seconds, where no list has a say."""
MAX_TTL = 900
"""Postscreen keeps a pass for this long (postscreen_dnsbl_max_ttl bounds it too); changes of ours show by then."""
PARTIAL_TTL = 60
"""While any list's reply is missing."""
STATUS_TTL = 5

_MAX_TEXT = 500
"""Octets of a TXT rdata: what Postfix keeps for its $rbl_reason (postconf(5), default_rbl_reply)."""
_MAX_STRING = 255

_TEST_LISTED = frozenset({ip_address("127.0.0.2"), ip_address("::ffff:127.0.0.2"), "test"})
_TEST_CLEAR = frozenset({ip_address("127.0.0.1"), ip_address("::ffff:127.0.0.1"), "invalid"})
_TEST_SCORE = 100
_OWN_ALLOW = bytes([127, 0, 20, 3])
_LISTED = bytes([127, 0, 0, 2])
DENIED = "denied by this server's own rules"
"""What a client learns of an override that denies; why, is nobody's business but the admin's."""


class NodeKind(Enum):
    """What stands at a name."""

    APEX = "apex"
    NODE = "an empty non-terminal"
    LEAF = "a subject"
    NOWHERE = "nothing"


class ParsedName(NamedTuple):
    """What stands at a name; for a leaf the subzone and its subject. `node`: the leaf is an empty non-terminal as well."""

    kind: NodeKind
    subzone: str = ""
    subject: Address | str = ""
    node: bool = False


class ZoneAnswer(NamedTuple):
    """What is said of a subject: A rdatas and one text a reason, strongest first, none of an unlisted one; TTL in seconds."""

    addresses: tuple[bytes, ...] = ()
    texts: tuple[str, ...] = ()
    ttl: int = DEFAULT_TTL


def parse_name(origin: Name, name: Name) -> ParsedName:
    """Where a name (lower case, at or below the origin) stands."""
    parts = labels(name)[: label_count(name) - label_count(origin)]
    if not parts:
        return ParsedName(NodeKind.APEX)
    subzone = parts.pop().decode("latin-1")
    if subzone == STATUS:
        return ParsedName(NodeKind.NOWHERE if parts else NodeKind.LEAF, subzone)
    if subzone != DBL and subzone not in _ADDRESS_SUBZONES:
        return ParsedName(NodeKind.NOWHERE)
    if not parts:
        return ParsedName(NodeKind.NODE, subzone)
    return _domain(parts) if subzone == DBL else _address(subzone, parts)


def _address(subzone: str, parts: list[bytes]) -> ParsedName:
    prefix = b"".join(bytes([len(part)]) + part for part in parts) + b"\x00"
    address = address_of_reversed(prefix)
    nibbles = len(parts) < 32 and all(len(part) == 1 and part in b"0123456789abcdef" for part in parts)
    if address is not None:
        # 9.8.7.2 is 2.7.8.9, and the nibbles above all of 2789::/16 too; clients are in 2000::/3 (RFC 4291 §2.4).
        return ParsedName(NodeKind.LEAF, subzone, address, node=nibbles and parts[-1] in b"23")
    octets = len(parts) < 4 and all(part.isdigit() and part == b"%d" % int(part) and int(part) < 256 for part in parts)
    return ParsedName(NodeKind.NODE if nibbles or octets else NodeKind.NOWHERE, subzone)


def _domain(parts: list[bytes]) -> ParsedName:
    text = host_name(parts)
    if text in ("test", "invalid"):
        return ParsedName(NodeKind.LEAF, DBL, text)
    if text is None or registrable(text) is None:
        return ParsedName(NodeKind.NODE if text is not None and is_suffix(text) else NodeKind.NOWHERE, DBL)
    return ParsedName(NodeKind.LEAF, DBL, text)


def test_point(subzone: str, subject: Address | str) -> ZoneAnswer | None:
    """What is said of RFC 5782 §5's test points without asking anybody; None of any other subject."""
    if subject in _TEST_CLEAR:
        return ZoneAnswer()
    if subject not in _TEST_LISTED:
        return None
    if subzone in CLIENT_SUBZONES:
        return ZoneAnswer()
    address = {WL: _OWN_ALLOW, SCORE: bytes([127, 0, 2, _TEST_SCORE])}.get(subzone, _LISTED)
    return ZoneAnswer((address,), ("test entry (RFC 5782)",))


def answer(
    subzone: str, reputation: Reputation, specs: Mapping[str, ListSpec], listed_at: float | None, override: str | None = None
) -> ZoneAnswer:
    """What a subzone says of a reputation. `listed_at` in points, None for any listing; `override`: allow, deny or None."""
    if subzone == WL:
        return _allow_answer(reputation, specs, override)
    listings = tuple(bytes([127, 0, 1, specs[reply.list_id].number]) for reply in reputation.listings)
    texts = tuple(map(_text, reputation.listings))
    if override == "deny":
        first = bytes([127, 0, 2, 254]) if subzone == SCORE else _LISTED
        return ZoneAnswer((first, *listings), (DENIED, *texts))
    if subzone == SCORE:
        points = (bytes([127, 0, 2, max(1, min(254, int(reputation.score + 0.5)))]),) if reputation.score > 0 else ()
        return ZoneAnswer(points + listings, texts)
    if override == "allow" or reputation.allowed or not reputation.reaches(listed_at):
        return ZoneAnswer()
    return ZoneAnswer((_LISTED, *listings), texts)


def listed(text: str, ttl: int) -> ZoneAnswer:
    """What is said of a client of whom something is known."""
    return ZoneAnswer((_LISTED,), (text,), ttl)


def _allow_answer(reputation: Reputation, specs: Mapping[str, ListSpec], override: str | None) -> ZoneAnswer:
    """Allow lists on dnswl.org's scale: 127.0.CATEGORY.TRUST, category 20 for lists that have none."""
    if override == "deny":
        return ZoneAnswer()
    found: dict[bytes, None] = {_OWN_ALLOW: None} if override == "allow" else {}
    for listing in reputation.allow_listings:
        table = specs[listing.list_id].codes
        if table.categories:
            addresses = (IPv4Address(address).packed for address in listing.addresses)
            found |= dict.fromkeys(address for address in addresses if table.of(address))
        else:
            found[bytes([127, 0, 20, listing.trust])] = None
    own = ("allowed by this server's own rules",) if override == "allow" else ()
    return ZoneAnswer(tuple(found), own + tuple(map(_text, reputation.allow_listings)))


def _text(listed: Listed) -> str:
    """Reason and link in one string; where both do not fit, the link stays whole."""
    link = f", see {listed.link}" if listed.link else ""
    return listed.reason[: _MAX_STRING - len(link) - 3] + link


def ttl_of(reputation: Reputation, override: str | None = None) -> int:
    """Seconds for which an answer may be kept: the smallest of its parts, less while one is missing or a rule of ours decides."""
    ttl = DEFAULT_TTL if reputation.ttl is None else max(1, min(reputation.ttl, MAX_TTL))
    return min(ttl, PARTIAL_TTL) if reputation.partial or override else ttl


def status_texts(states: Iterable[ListStatus]) -> list[str]:
    """One line a list that is in use."""
    lines = []
    for state in states:
        if state.enabled or state.asked:
            counts = f"{state.asked} asked, {state.listed} listed, {state.failed} failed"
            quota = f", {state.quota_left} of {state.quota} left" if state.quota is not None else ""
            error = f", last error: {state.last_error}" if state.last_error else ""
            lines.append(f"{state.id}: {state.state}, {counts}{quota}{error}")
    return lines


def strings(texts: Sequence[str]) -> bytes:
    """One TXT rdata, a string a text, as many as fit; each after the first begins with Postfix's own separator of TXT records."""
    parts: list[bytes] = []
    room = _MAX_TEXT
    for text in texts:
        part = ((" / " if parts else "") + text).encode("ascii", "replace")[:_MAX_STRING]
        room -= 1 + len(part)
        if room < 0:
            break
        parts.append(part)
    return rdata.text(*parts)


def positive(owner: Name, rtype: int, rdatas: Sequence[bytes], ttl: int) -> Answer:
    """An authoritative answer that no packet cache keeps, for it changes with health, quota and rules."""
    return Answer(codes.NOERROR, (RRset(owner, rtype, ttl, tuple(rdatas)),), aa=True, keep=False)


def negative(zone: Name, ttl: int, *, nxdomain: bool) -> Answer:
    """A denial with the SOA from which postscreen takes how long to keep it (RFC 2308 §3)."""
    return Answer(codes.NXDOMAIN if nxdomain else codes.NOERROR, authority=(soa(zone, ttl),), aa=True, keep=False)


def soa(zone: Name, ttl: int) -> RRset:
    """The zone's SOA, its TTL that of the answer it stands in."""
    data = rdata.Soa(from_text("localhost"), prepend(from_text("postmaster"), zone), 1, 3600, 600, 86400, MAX_TTL)
    return RRset(zone, codes.SOA, ttl, (data.pack(),))
