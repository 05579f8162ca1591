"""From a DNS answer of a list to what it says of the subject, and whether it still behaves as a list."""

import re
from contextlib import suppress
from enum import Enum
from ipaddress import IPv4Address
from typing import NamedTuple

from resolverd.dnsbl.codes import Interpretation, Meaning
from resolverd.dnsbl.spec import Canary, ListSpec
from resolverd.failures import Unknown, Why
from resolverd.mail.lookups import Clear, Listed, ListReply
from resolverd.mail.sanitize import sanitize
from resolverd.wire import codes, rdata
from resolverd.wire.answer import Answer
from resolverd.wire.names import Address, labels

FAILURE_TTL = 30
"""Seconds for which a failure is remembered for its question: short, since mail passes meanwhile (RFC 9520 §3.2)."""

_STALE = frozenset({codes.EDE_STALE, 19})
"""Extended DNS Errors of answers kept beyond their life (RFC 8914 §4.4, §4.20): no evidence of a listing."""


class Behaviour(Enum):
    """What an answer says of the list itself."""

    SOUND = "sound"
    FAILING = "failing"
    """No answer of its own: timeout, SERVFAIL, REFUSED."""
    REFUSING = "refusing"
    """An error code about us, or what no list answers: to be suspended."""
    INCONCLUSIVE = "inconclusive"
    """It answers, but that proves nothing: an unknown code, an error about this one question, a test point by itself."""


class ListResponse(NamedTuple):
    """What a list answered: the reply in our terms, its own A rdatas as they may be handed on, its behaviour.

    `unknown_codes`: addresses inside 127.0.0.0/8 that the catalogue does not know.
    """

    reply: ListReply
    addresses: tuple[bytes, ...]
    behaviour: Behaviour
    ttl: int
    unknown_codes: tuple[bytes, ...] = ()


def read_answer(spec: ListSpec, subject: Address | str, answer: Answer) -> ListResponse:
    """The meaning of the answer to an A question about `subject`. TTLs are within the list's clamps."""
    failure = _failure(answer)
    if failure is not None:
        return failure
    rrset = answer.final(codes.A)
    if rrset is None or answer.rcode == codes.NXDOMAIN:
        return _clear(spec, _negative_ttl(spec, answer))
    ttl = _clamp(min(part.ttl for part in answer.answer), spec.min_ttl, spec.max_ttl)
    return _judge(spec, subject, rrset.rdatas, ttl)


def read_addresses(spec: ListSpec, subject: Address | str, addresses: tuple[bytes, ...]) -> ListReply:
    """The meaning of A records that a list has given of `subject`, as the list is configured now."""
    return _judge(spec, subject, addresses, 0).reply


def read_shared(spec: ListSpec, subject: Address | str, addresses: tuple[bytes, ...], ttl: int) -> ListResponse:
    """The same of an answer of `ttl` seconds that another host has had: none of them says that the subject is not listed."""
    return _judge(spec, subject, addresses, ttl) if addresses else _clear(spec, ttl)


def read_canary(spec: ListSpec, canary: Canary, answer: Answer) -> ListResponse:
    """The same for a test point, whose documented answer is sound even where it would be an error code for anybody else."""
    rrset = answer.final(codes.A)
    if rrset is not None and rrset.rdatas and _is_documented(spec, canary, rrset.rdatas):
        ttl = _clamp(rrset.ttl, spec.min_ttl, spec.max_ttl)
        listed = _listed(spec, canary.subject, Interpretation(Meaning.LISTED), rrset.rdatas, ttl)
        return ListResponse(listed, rrset.rdatas, Behaviour.INCONCLUSIVE, ttl)
    response = read_answer(spec, canary.subject, answer)
    return response._replace(behaviour=Behaviour.INCONCLUSIVE) if response.behaviour is Behaviour.SOUND else response


def _is_documented(spec: ListSpec, canary: Canary, addresses: tuple[bytes, ...]) -> bool:
    """Whether a test point's answer is what it should be, though it would be something else for anybody: an error, or ignored."""
    return set(addresses) <= set(canary.answers) or (canary.listed and not spec.codes.counting(addresses))


def as_documented(canary: Canary, response: ListResponse) -> bool:
    """Whether a test point was listed, or not, as it should be."""
    return not isinstance(response.reply, Unknown) and isinstance(response.reply, Listed) == canary.listed


def read_txt(spec: ListSpec, answer: Answer) -> ListResponse:
    """A list's own TXT, as the reason of a listing; empty if there is none.

    It comes as one line of printable ASCII, without the key of a keyed list should it be repeated there.
    """
    failure = _failure(answer)
    if failure is not None:
        return failure
    rrset = answer.final(codes.TXT)
    try:
        texts = [b"".join(rdata.strings(octets)).decode("latin-1") for octets in rrset.rdatas] if rrset else []
    except ValueError:
        texts = []
    text = " ".join(texts)
    if spec.keyed:
        text = re.sub(re.escape(labels(spec.zone)[0].decode("latin-1")), "...", text, flags=re.IGNORECASE)
    ttl = _clamp(rrset.ttl, spec.min_ttl, spec.max_ttl) if rrset else _negative_ttl(spec, answer)
    reply = Listed(spec.id, (), (), 0, sanitize(text), "", ttl) if sanitize(text) else Clear(spec.id, ttl)
    return ListResponse(reply, (), Behaviour.INCONCLUSIVE, ttl)


def with_txt(response: ListResponse, txt: ListResponse) -> ListResponse:
    """A listing with the list's own TXT as its reason, where there is one."""
    if not isinstance(response.reply, Listed) or not isinstance(txt.reply, Listed):
        return response
    return response._replace(reply=response.reply._replace(reason=txt.reply.reason))


def not_sent(unknown: Unknown) -> ListResponse:
    """For a question that was never sent: nothing to remember, nothing to hold against the list."""
    return ListResponse(unknown, (), Behaviour.INCONCLUSIVE, 0)


def not_for(spec: ListSpec) -> ListResponse:
    """For a subject that the list cannot list: clear, without asking."""
    return ListResponse(Clear(spec.id, spec.negative_max_ttl), (), Behaviour.SOUND, spec.negative_max_ttl)


def _failure(answer: Answer) -> ListResponse | None:
    """What an answer amounts to that says nothing of the subject."""
    if any(error.code in _STALE for error in answer.errors):
        return _unknown(Why.TIMEOUT, "only an expired answer was left")
    if answer.rcode == codes.REFUSED:
        return _unknown(Why.REFUSED, "REFUSED")
    if not answer.definite:
        return _unknown(Why.FAILED, "no authority has said it")
    if answer.is_failure:
        unreachable = {codes.EDE_NO_REACHABLE_AUTHORITY, codes.EDE_NETWORK_ERROR}.intersection(e.code for e in answer.errors)
        return _unknown(Why.TIMEOUT if unreachable else Why.FAILED, codes.rcode_text(answer.rcode))
    return None


def _judge(spec: ListSpec, subject: Address | str, addresses: tuple[bytes, ...], ttl: int) -> ListResponse:
    reading = spec.codes.interpret(addresses, spec.weight)
    if reading.meaning is Meaning.LISTED:
        addresses = spec.codes.counting(addresses)
        return ListResponse(_listed(spec, subject, reading, addresses, ttl), addresses, Behaviour.SOUND, ttl, reading.unmatched)
    if reading.meaning is Meaning.NEUTRAL:
        return ListResponse(Clear(spec.id, ttl), spec.codes.counting(addresses), Behaviour.SOUND, ttl)
    if reading.meaning is Meaning.UNKNOWN:
        return ListResponse(Clear(spec.id, ttl), (), Behaviour.INCONCLUSIVE, ttl, reading.unmatched)
    if reading.meaning is Meaning.OUTSIDE:
        unknown = Unknown(Why.UNHEALTHY, f"answered {_texts(reading.unmatched)[0]}, which no list answers")
        return ListResponse(unknown, (), Behaviour.REFUSING, FAILURE_TTL)
    error = reading.error
    assert error is not None
    unknown = Unknown(Why.BLOCKED, f"answered its error code for {error.name}")
    return ListResponse(unknown, (), Behaviour.REFUSING if error.suspends else Behaviour.INCONCLUSIVE, FAILURE_TTL)


def _listed(spec: ListSpec, subject: Address | str, reading: Interpretation, addresses: tuple[bytes, ...], ttl: int) -> Listed:
    strongest = reading.codes[0] if reading.codes else None
    weight = spec.weight if strongest is None or strongest.weight is None else strongest.weight
    return Listed(
        list_id=spec.id,
        codes=tuple(code.name for code in reading.codes),
        addresses=_texts(addresses),
        weight=weight,
        reason=_reason(spec, reading, addresses),
        link=((strongest.link if strongest else "") or spec.link).replace("{subject}", str(subject)),
        ttl=ttl,
        trust=max((code.trust for code in reading.codes), default=0),
    )


def _reason(spec: ListSpec, reading: Interpretation, addresses: tuple[bytes, ...]) -> str:
    words = [code.text or code.name for code in reading.codes]
    words += dict.fromkeys(name for address in addresses if (name := spec.codes.category(address)))
    listed = f"listed by {spec.shown}"
    return sanitize(f"{listed} ({'; '.join(words)})" if words else listed)


def _clear(spec: ListSpec, ttl: int) -> ListResponse:
    return ListResponse(Clear(spec.id, ttl), (), Behaviour.SOUND, ttl)


def _unknown(why: Why, detail: str) -> ListResponse:
    return ListResponse(Unknown(why, detail), (), Behaviour.FAILING, FAILURE_TTL)


def _negative_ttl(spec: ListSpec, answer: Answer) -> int:
    """RFC 2308 §5: the smaller of the SOA's TTL and its MINIMUM; the list's smallest without an SOA."""
    ttls = [rrset.ttl for rrset in answer.answer]
    for rrset in answer.authority:
        if rrset.rtype == codes.SOA:
            ttls.append(rrset.ttl)
            with suppress(ValueError):
                ttls.append(rdata.soa(rrset.rdatas[0]).minimum)
    return _clamp(min(ttls, default=0), spec.min_ttl, spec.negative_max_ttl)


def _clamp(ttl: int, low: int, high: int) -> int:
    return max(low, min(ttl, high))


def _texts(addresses: tuple[bytes, ...]) -> tuple[str, ...]:
    return tuple(str(IPv4Address(address)) if len(address) == 4 else "a malformed address" for address in addresses)
