"""The client's names: what the mail server says of them, else what the DNS says; and which of them lead back to its address.

Forward-confirmed reverse DNS, "iprev" (RFC 8601 §2.7.3). Where smtpd takes the first of several PTR records, any of them may
confirm here, as the order of records means nothing.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from resolverd import bounds
from resolverd.failures import Unknown, Why
from resolverd.mail.hostnames import hostname_of, name_of
from resolverd.mail.lookups import Absent, DnsLookup, LookupReply, Records, Replies, Skipped
from resolverd.mail.request import Attempt
from resolverd.policy.asking import Asking, Outcome, outcome_of, reply_to
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


class Iprev(NamedTuple):
    """What came of looking for a name of the client that leads back.

    `name`: one that does, as the mail server or the DNS has it; empty for none. `names`: all reverse names. `forward`: the
    forward look-up of each, in the address family of the client. `trouble`: why it cannot be said for certain that no name
    leads back, if it cannot.
    """

    name: str
    names: tuple[str, ...] = ()
    forward: Mapping[str, DnsLookup] = {}
    trouble: Unknown | Skipped | None = None


def reverse_lookups(attempt: Attempt) -> tuple[DnsLookup, ...]:
    """The reverse look-up, unless the mail server has given the name already or there is no client address."""
    if attempt.client_address is None or _postfix_reverse_name(attempt):
        return ()
    return (_reverse_lookup(attempt.client_address),)


def reverse_names(attempt: Attempt) -> Asking[tuple[str, ...] | Unknown | Skipped]:
    """The client's reverse names, sorted; none for a definite denial or records that hold no host name.

    Names that are no host names do not count: getnameinfo(3) and smtpd refuse them as well.
    """
    if name := _postfix_reverse_name(attempt):
        return (name,)
    if attempt.client_address is None:
        return ()
    return reverse_names_of((yield from reply_to(_reverse_lookup(attempt.client_address))))


def reverse_names_of(reply: LookupReply) -> tuple[str, ...] | Unknown | Skipped:
    """As `reverse_names`, from the reply to the reverse look-up."""
    if isinstance(reply, Records):
        return tuple(sorted({name for name in map(_hostname, reply.rdatas) if name})[:MAX_NAMES])
    if isinstance(reply, Absent):
        return ()
    return reply if isinstance(reply, Unknown | Skipped) else Unknown(Why.TIMEOUT)


def iprev(attempt: Attempt) -> Asking[Iprev]:
    """Look for a name that leads back to the client, until there is one; the mail server's is taken as it is."""
    address = attempt.client_address
    if (name := postfix_name(attempt.client_name)) or address is None:
        return Iprev(name)
    names = yield from reverse_names(attempt)
    if isinstance(names, Unknown | Skipped):
        return Iprev("", trouble=names)
    rtype = codes.A if address.version == 4 else codes.AAAA
    forward = {name: DnsLookup(wire, rtype) for name in names if (wire := name_of(name))}
    packed, open_ = address.packed, tuple(forward.values())
    replies = yield ()
    while True:
        for name, question in forward.items():
            reply = replies.get(question)
            if isinstance(reply, Records) and packed in reply.rdatas:
                return Iprev(name, names, forward)
        open_ = tuple(question for question in open_ if question not in replies)
        if not open_:
            return Iprev("", names, forward, _trouble(forward.values(), replies))
        replies = yield open_


def iprev_name(attempt: Attempt, replies: Replies) -> str:
    """A name of the client that leads back to it, as the mail server or these replies have it; empty for none."""
    if (name := postfix_name(attempt.client_name)) or attempt.client_address is None:
        return name
    return outcome_of(iprev(attempt), replies).name


def _trouble(forward: Iterable[DnsLookup], replies: Replies) -> Unknown | Skipped | None:
    for question in forward:
        reply = replies[question]
        if not isinstance(reply, Records | Absent):
            return reply if isinstance(reply, Unknown | Skipped) else Unknown(Why.FAILED)
    return None


class NamesOnly(Check):
    """Looks the client's names up, and says nothing of them."""

    __slots__ = ()
    name = "client_names"

    def run(self, attempt: Attempt) -> Asking[Outcome]:
        """The PTR records and the addresses of their names, until one of them is the client's."""
        yield from iprev(attempt)
        return []


def _postfix_reverse_name(attempt: Attempt) -> str:
    """The reverse name that the mail server has found; a verified name is one, too."""
    return postfix_name(attempt.reverse_client_name) or postfix_name(attempt.client_name)


@lru_cache(bounds.MAIL_NAMES)
def _reverse_lookup(address: Address) -> DnsLookup:
    return DnsLookup(reverse_name(address), codes.PTR)


@lru_cache(bounds.MAIL_NAMES)
def _hostname(rdata: bytes) -> str:
    try:
        return hostname_of(target(codes.PTR, rdata))
    except ValueError:
        return ""
