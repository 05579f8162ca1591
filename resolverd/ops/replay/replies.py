"""From the evidence of a verdict that was kept back to the replies that it rests on."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, ip_address
from typing import Final

from resolverd.dnsbl.response import read_addresses
from resolverd.dnsbl.spec import ListSpec
from resolverd.failures import Unknown, Why
from resolverd.mail.findings import Data, Evidence, Finding
from resolverd.mail.lookups import Absent, Clear, DnsLookup, ListLookup, LookupReply, Question, Records
from resolverd.wire.codes import TXT
from resolverd.wire.names import Address

_ABSENT: Final = {"no such name": True, "no such record": False}
_TTL: Final = 0


def replies_of(findings: Iterable[Finding], lists: Mapping[str, ListSpec]) -> dict[Question, LookupReply]:
    """What was asked and came back, as far as that was kept (`policy.evidence.piece`); `lists` by how texts name them.

    A listing means what its addresses mean as the list is configured now. What was skipped as the verdict was certain is left
    out, and so is what was kept in part: of more records than are kept, only those of SPF say all that is asked.
    """
    found: dict[Question, LookupReply] = {}
    for finding in findings:
        for piece in finding.evidence:
            if isinstance(piece.question, DnsLookup):
                question: Question = piece.question
                reply = _of_dns(piece.question, piece, of_several=finding.code.endswith("_permerror"))
            else:
                subject, _, shown = piece.question.rpartition(" in ")
                if shown not in lists:
                    continue
                spec = lists[shown]
                question = ListLookup(spec.id, subject_of(subject))
                reply = _of_list(spec, question.subject, piece)
            if reply is not None:
                found[question] = reply
    return found


def subject_of(text: str) -> Address | str:
    """Whom a list is asked about."""
    try:
        return ip_address(text)
    except ValueError:
        return text


def _of_dns(question: DnsLookup, piece: Evidence, *, of_several: bool) -> LookupReply | None:
    """`of_several`: a domain may have several SPF records (RFC 7208 §4.5), not all of which were kept."""
    reply = piece.reply
    if isinstance(reply, Data):
        is_spf = question.rtype == TXT and any(each[1:7].lower() == b"v=spf1" for each in reply.rdatas)
        is_whole = not reply.more or (is_spf and not of_several)
        return Records(reply.rdatas, _TTL, piece.age, piece.ms or 0) if is_whole else None
    if reply in _ABSENT:
        return Absent(_ABSENT[reply], _TTL, piece.age, piece.ms or 0)
    return _unknown(reply)


def _of_list(spec: ListSpec, subject: Address | str, piece: Evidence) -> LookupReply | None:
    reply = str(piece.reply)
    age, ms = piece.age or 0, piece.ms or 0
    if reply == "not listed":
        return Clear(spec.id, _TTL, age, ms)
    _, listed, addresses = reply.rpartition(", as ")
    if not listed:
        return _unknown(reply)
    try:
        octets = tuple(IPv4Address(each).packed for each in addresses.split(", "))
    except ValueError:
        return None
    read = read_addresses(spec, subject, octets)
    return read if isinstance(read, Unknown) else read._replace(ttl=_TTL, age=age, ms=ms)


def _unknown(reply: str) -> Unknown | None:
    """Why there was no answer (`policy.evidence.why`)."""
    if not (reply.startswith("unknown (") and reply.endswith(")")):
        return None
    why, _, detail = reply[len("unknown (") : -1].partition(": ")
    try:
        return Unknown(Why(why), detail)
    except ValueError:
        return None
