"""Verdicts as octets: what the store keeps of each, and of the pages that they stand in.

A verdict's octets are an octet 2 and the MessagePack of `_Record`. In verdicts of earlier versions it is an octet 1, and nothing
is told of the attempt but its client; the evidence of the first of them stands there in words, that of others as it came.

Those that are written together make a page: one record with their octets one after the other, and one that tells which they
are: an octet 2 and the MessagePack of `Page`. In pages that begin with an octet 1, of earlier versions, each verdict has a record
of its own, under its reference.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final, NamedTuple, TypeAlias

import msgspec

from resolverd import bounds
from resolverd.mail.findings import Action, Consequence, Evidence, Finding, GreylistOutcome, SmtpReply, Verdict, WhatIf
from resolverd.mail.request import Attempt
from resolverd.pseudonyms import Pseudonyms
from resolverd.values import Value
from resolverd.wire.names import Address


class KeptAttempt(NamedTuple):
    """What is kept of the attempt that a verdict is on, beside its client. `sender` is None where none was given yet.

    `nameless`: hashes stand for the names and addresses.
    """

    client_name: str
    reverse_client_name: str
    helo_name: str
    sender: str | None
    recipient: str
    protocol_state: str
    nameless: bool = False

    def hashed(self, pseudonyms: Pseudonyms) -> "KeptAttempt":
        """The same without anybody's name."""
        if self.nameless:
            return self
        return KeptAttempt(
            pseudonyms.of(self.client_name),
            pseudonyms.of(self.reverse_client_name),
            pseudonyms.of(self.helo_name),
            None if self.sender is None else pseudonyms.of(self.sender),
            pseudonyms.of(self.recipient),
            self.protocol_state,
            nameless=True,
        )


class StoredVerdict(NamedTuple):
    """A verdict, how many seconds ago it was given, and on what; None where that was not kept.

    `host`: the name of the host of the fleet that gave it; empty where no others share the store.
    """

    verdict: Verdict
    age: float
    attempt: KeptAttempt | None = None
    host: str = ""


class Summary(NamedTuple):
    """A verdict in short. `at`: the wall second when it was given. `codes`: of findings that have a consequence; `neutral`: of
    the others. `lists`: those that list the client or a name of it, as texts name them."""

    id: str
    at: float
    action: Action
    reason: str
    score: float
    client: Address | None
    attempt: KeptAttempt | None
    codes: tuple[str, ...]
    neutral: tuple[str, ...]
    lists: tuple[str, ...]


class KeptVerdict(NamedTuple):
    """The octets of a verdict, and the name of the host of the fleet that gave it; empty where no others share the store."""

    octets: bytes
    host: str = ""


class IndexedPage(NamedTuple):
    """A page of a host, as its index tells of it: the key, and which verdicts are in it, as `decode_page` reads that."""

    key: bytes
    page: bytes


class _Finding(NamedTuple):
    """What there is to tell of a `Finding`, in its order; what it did to others stands in the verdict. The last two are
    unused."""

    check: str
    code: str
    text: str
    score: float
    consequence: Consequence | None
    reply: SmtpReply | None
    link: str
    evidence: tuple[Evidence, ...]
    ms: int
    header: str = ""
    suppresses: tuple[str, ...] = ()


_TOLD: Final = 9


class _Record(NamedTuple):
    """The fields of `Verdict` in their order, the client as octets, the wall second, and the attempt."""

    id: str
    action: Action
    score: float
    reason: str
    findings: tuple[_Finding, ...]
    reply: SmtpReply | None
    greylist: GreylistOutcome | None
    header: str
    partial: bool
    ms: int
    what_if: tuple[WhatIf, ...]
    client: bytes
    at: float
    attempt: KeptAttempt | None = None


class _ShortFinding(NamedTuple):
    """A `_Finding` of which only that is read that a `Summary` has."""

    check: msgspec.Raw
    code: str
    text: msgspec.Raw
    score: msgspec.Raw
    consequence: str | None
    reply: msgspec.Raw
    link: msgspec.Raw
    evidence: msgspec.Raw
    ms: int
    header: str = ""
    suppresses: tuple[str, ...] = ()


class _ShortRecord(NamedTuple):
    """A `_Record` of which only that is read that a `Summary` has."""

    id: str
    action: Action
    score: float
    reason: str
    findings: tuple[_ShortFinding, ...]
    reply: msgspec.Raw
    greylist: msgspec.Raw
    header: msgspec.Raw
    partial: bool
    ms: int
    what_if: msgspec.Raw
    client: bytes
    at: float
    attempt: KeptAttempt | None = None


class Reference(NamedTuple):
    """A verdict in the order of time; `octets`: how many it takes."""

    id: str
    client: bytes
    octets: int


class _Time(NamedTuple):
    """A `_Record` of which only the wall second is read."""

    id: msgspec.Raw
    action: msgspec.Raw
    score: msgspec.Raw
    reason: msgspec.Raw
    findings: msgspec.Raw
    reply: msgspec.Raw
    greylist: msgspec.Raw
    header: msgspec.Raw
    partial: msgspec.Raw
    ms: msgspec.Raw
    what_if: msgspec.Raw
    client: msgspec.Raw
    at: float
    attempt: msgspec.Raw = msgspec.Raw()


Page: TypeAlias = tuple[Reference, ...]
APART: Final = b"\1"
"""How a page begins whose verdicts stand under their references."""
TOGETHER: Final = b"\2"
_VERSION: Final = b"\2"
_READ: Final = (b"\1", _VERSION)
_LISTED: Final = ("_listed", "_uncounted", "_untrusted")
"""How codes of findings end that tell of a listing; the question in their evidence is ``SUBJECT in LIST``."""
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Record)
_short_decoder = msgspec.msgpack.Decoder(_ShortRecord)
_evidence_decoder = msgspec.msgpack.Decoder(tuple[Evidence, ...])
_page_decoder = msgspec.msgpack.Decoder(Page)
_octets_decoder = msgspec.msgpack.Decoder(tuple[bytes, ...])
_time_decoder = msgspec.msgpack.Decoder(_Time)
_index_decoder = msgspec.msgpack.Decoder(tuple[IndexedPage, ...])
_INDEX: Final = b"\1"
"""How a part of an index begins."""


def kept_attempt(attempt: Attempt, pseudonyms: Pseudonyms | None = None) -> KeptAttempt:
    """What is kept of an attempt; with `pseudonyms` nobody's name is."""
    longest = bounds.VERDICT_ATTRIBUTE
    kept = KeptAttempt(
        attempt.client_name[:longest],
        attempt.reverse_client_name[:longest],
        attempt.helo_name[:longest],
        attempt.sender[:longest] if attempt.has_sender else None,
        attempt.recipient[:longest],
        attempt.protocol_state[:longest],
    )
    return kept if pseudonyms is None else kept.hashed(pseudonyms)


def encode(
    verdict: Verdict, at: float, findings: msgspec.Raw | None = None, attempt: KeptAttempt | None = None
) -> bytes:
    """The octets of a verdict given at a wall second; `findings`: those of its findings, where they are there already."""
    client = verdict.client.packed if verdict.client is not None else b""
    fields = (
        verdict.id, verdict.action, verdict.score, verdict.reason,
        encode_findings(verdict.findings) if findings is None else findings,
        verdict.reply, verdict.greylist, verdict.header, verdict.partial, verdict.ms, verdict.what_if, client, at, attempt,
    )  # fmt: skip
    try:
        return _VERSION + _encode(fields)
    except UnicodeEncodeError:  # half a surrogate pair, as JSON may have it
        return _VERSION + _encode(_whole(fields))


def encode_findings(findings: tuple[Finding, ...]) -> msgspec.Raw:
    """The octets of the findings of a verdict."""
    told = tuple(finding[:_TOLD] for finding in findings)
    try:
        return msgspec.Raw(_encode(told))
    except UnicodeEncodeError:
        return msgspec.Raw(_encode(_whole(told)))


def decode(octets: bytes, now: float, *, as_kept: bool = False) -> StoredVerdict | None:
    """The verdict, or None for octets that are none: damaged ones count as absent.

    Its evidence is in words; `as_kept`: questions and records are as they were kept.
    """
    if octets[:1] not in _READ:
        return None
    try:
        found = _decoder.decode(octets[1:])
        client = ip_address(found.client) if found.client else None
        findings = tuple(Finding(*finding[:_TOLD]) for finding in found.findings)
        findings = findings if as_kept else tuple(map(_worded, findings))
    except (ValueError, IndexError):  # msgspec's errors are such, and those of names and records that are none
        return None
    verdict = Verdict(
        found.id, found.action, found.score, found.reason, findings, found.reply, found.greylist, found.header, found.partial,
        found.ms, found.what_if, client,
    )  # fmt: skip
    return StoredVerdict(verdict, max(0.0, now - found.at), found.attempt)


def summary(octets: bytes) -> Summary | None:
    """The verdict in short, read without the rest of it; None for octets that are none."""
    if octets[:1] not in _READ:
        return None
    try:
        found = _short_decoder.decode(octets[1:])
        client = ip_address(found.client) if found.client else None
        listings = [_evidence_decoder.decode(each.evidence) for each in found.findings if each.code.endswith(_LISTED)]
    except ValueError:
        return None
    return Summary(
        found.id, found.at, found.action, found.reason, found.score, client, found.attempt,
        tuple(each.code for each in found.findings if each.consequence is not None),
        tuple(each.code for each in found.findings if each.consequence is None),
        _lists(listings),
    )  # fmt: skip


def time_of(octets: bytes) -> float | None:
    """The wall second when a verdict was given, read without the rest of it; None for octets that are none."""
    if octets[:1] not in _READ:
        return None
    try:
        return _time_decoder.decode(octets[1:]).at
    except ValueError:
        return None


def summarised(verdict: Verdict, attempt: KeptAttempt | None, at: float) -> Summary:
    """A verdict given at a wall second, in short."""
    return Summary(
        verdict.id, at, verdict.action, verdict.reason, verdict.score, verdict.client, attempt,
        tuple(each.code for each in verdict.findings if each.consequence is not None),
        tuple(each.code for each in verdict.findings if each.consequence is None),
        _lists([each.evidence for each in verdict.findings if each.code.endswith(_LISTED)]),
    )  # fmt: skip


def _lists(listings: Sequence[tuple[Evidence, ...]]) -> tuple[str, ...]:
    """Who lists, by the evidence of listings; each once."""
    questions = (each.question for evidence in listings for each in evidence)
    return tuple(dict.fromkeys(asked.rpartition(" in ")[2] for asked in questions if isinstance(asked, str)))


def encode_page(references: Sequence[Reference]) -> bytes:
    """The octets that tell which verdicts stand together."""
    return TOGETHER + _encode(references)


def decode_page(octets: bytes) -> Page:
    """The page; nothing for octets that are none."""
    if octets[:1] not in (APART, TOGETHER):
        return ()
    try:
        return _page_decoder.decode(octets[1:])
    except ValueError:
        return ()


def encode_together(verdicts: Sequence[bytes]) -> bytes:
    """The octets of verdicts that stand together."""
    return _encode(verdicts)


def decode_together(octets: bytes) -> tuple[bytes, ...]:
    """The octets of each verdict; none for octets that are none."""
    try:
        return _octets_decoder.decode(octets)
    except ValueError:
        return ()


def encode_index(pages: Sequence[IndexedPage]) -> bytes:
    """The octets of a part of an index: an octet 1 and the MessagePack of the pages."""
    return _INDEX + _encode(pages)


def decode_index(octets: bytes) -> tuple[IndexedPage, ...]:
    """The pages of a part of an index; none for octets that are none."""
    if octets[:1] != _INDEX:
        return ()
    try:
        return _index_decoder.decode(octets[1:])
    except ValueError:
        return ()


def _worded(finding: Finding) -> Finding:
    """The finding, its evidence in words."""
    return finding._replace(evidence=tuple(Evidence(each.asked, each.answered, *each[2:]) for each in finding.evidence))


def _whole(value: object) -> object:
    """The value with a question mark in place of what no encoding has."""
    if isinstance(value, Value):
        value = msgspec.structs.astuple(value)
    if isinstance(value, tuple):
        return tuple(map(_whole, value))
    return str(value).encode("utf-8", "replace").decode() if isinstance(value, str) else value
