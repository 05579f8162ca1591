"""The client's names: what the mail server says of them, else what the DNS says; and which of them lead back to its address.

Forward-confirmed reverse DNS, "iprev" (RFC 8601 §2.7.3). Where smtpd takes the first of several PTR records, any of them may
confirm here, as the order of records means nothing.
"""

from collections.abc import Iterable
from typing import Final

from resolverd.failures import Unknown, Why
from resolverd.mail.findings import Finding
from resolverd.mail.hostnames import hostname_of, name_of
from resolverd.mail.lookups import Absent, DnsLookup, Question, Records, Replies, Skipped
from resolverd.mail.request import Attempt
from resolverd.policy.check import Check
from resolverd.wire import codes
from resolverd.wire.names import Address, reverse_name
from resolverd.wire.rdata import target

MAX_NAMES: Final = 10
"""Reverse names of one client that are looked at (RFC 7208 §4.6.4 has the same bound for ``ptr``)."""


def postfix_name(name: str) -> str:
    """A client name as the mail server gives it, lower-case; empty for ``unknown``, which hides temporary failures."""
    lowered = name.lower()
    return "" if lowered == "unknown" else lowered


def reverse_lookups(attempt: Attempt) -> Iterable[DnsLookup]:
    """The reverse look-up, unless the mail server has given the name already or there is no client address."""
    if attempt.client_address is not None and not _postfix_reverse_name(attempt):
        yield _reverse_lookup(attempt.client_address)


def reverse_names(attempt: Attempt, replies: Replies) -> tuple[str, ...] | Unknown | Skipped:
    """The client's reverse names, sorted; none for a definite denial or records that hold no host name.

    Names that are no host names do not count: getnameinfo(3) and smtpd refuse them as well.
    """
    if name := _postfix_reverse_name(attempt):
        return (name,)
    if attempt.client_address is None:
        return ()
    reply = replies.get(_reverse_lookup(attempt.client_address))
    if isinstance(reply, Records):
        return tuple(sorted({name for rdata in reply.rdatas if (name := _hostname(rdata))})[:MAX_NAMES])
    if isinstance(reply, Absent):
        return ()
    return reply if isinstance(reply, Unknown | Skipped) else Unknown(Why.TIMEOUT)


def iprev_lookups(attempt: Attempt, replies: Replies) -> Iterable[Question]:
    """What has to be known to say which name leads back to the client; nothing where the mail server has given it."""
    if attempt.client_address is None or postfix_name(attempt.client_name):
        return
    yield from reverse_lookups(attempt)
    forward = forward_lookups(attempt, replies)
    confirming = [question for question in forward.values() if _confirms(question, attempt.client_address, replies)]
    yield from confirming or forward.values()


def iprev_name(attempt: Attempt, replies: Replies) -> str:
    """A name of the client that leads back to it, as the mail server or these replies have it; empty for none."""
    if (name := postfix_name(attempt.client_name)) or attempt.client_address is None:
        return name
    forward = forward_lookups(attempt, replies)
    return next((name for name, question in forward.items() if _confirms(question, attempt.client_address, replies)), "")


def iprev_trouble(attempt: Attempt, replies: Replies) -> Unknown | Skipped | None:
    """Why it cannot be said for certain that no name leads back, if it cannot."""
    names = reverse_names(attempt, replies)
    if isinstance(names, Unknown | Skipped):
        return names
    for question in forward_lookups(attempt, replies).values():
        reply = replies.get(question, Unknown(Why.TIMEOUT))
        if not isinstance(reply, Records | Absent):
            return reply if isinstance(reply, Unknown | Skipped) else Unknown(Why.FAILED)
    return None


def forward_lookups(attempt: Attempt, replies: Replies) -> dict[str, DnsLookup]:
    """The forward look-up of each reverse name, in the address family of the client."""
    names = reverse_names(attempt, replies)
    if attempt.client_address is None or isinstance(names, Unknown | Skipped):
        return {}
    rtype = codes.A if attempt.client_address.version == 4 else codes.AAAA
    return {name: DnsLookup(wire, rtype) for name in names if (wire := name_of(name))}


class NamesOnly(Check):
    """Looks the client's names up, and says nothing of them."""

    __slots__ = ()
    name = "client_names"

    def asks(self, attempt: Attempt, replies: Replies) -> Iterable[Question]:
        """The PTR records and the addresses of their names, until one of them is the client's."""
        return iprev_lookups(attempt, replies)

    def judge(self, attempt: Attempt, replies: Replies) -> list[Finding]:
        """Nothing."""
        return []


def _postfix_reverse_name(attempt: Attempt) -> str:
    """The reverse name that the mail server has found; a verified name is one, too."""
    return postfix_name(attempt.reverse_client_name) or postfix_name(attempt.client_name)


def _reverse_lookup(address: Address) -> DnsLookup:
    return DnsLookup(reverse_name(address), codes.PTR)


def _confirms(question: DnsLookup, address: Address, replies: Replies) -> bool:
    reply = replies.get(question)
    return isinstance(reply, Records) and address.packed in reply.rdatas


def _hostname(rdata: bytes) -> str:
    try:
        return hostname_of(target(codes.PTR, rdata))
    except ValueError:
        return ""
