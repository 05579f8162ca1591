"""The client's reverse names: what the mail server says of them, or else what the DNS says. Shared by several checks."""

from collections.abc import Iterable
from typing import Final

from resolverd.failures import Unknown, Why
from resolverd.mail.hostnames import hostname_of
from resolverd.mail.lookups import Absent, Lookup, Records, Replies, Skipped
from resolverd.mail.request import Attempt
from resolverd.wire import codes
from resolverd.wire.names import Address, reverse_name
from resolverd.wire.rdata import target

MAX_NAMES: Final = 10
"""Reverse names of one client that are looked at (RFC 7208 §4.6.4 has the same bound for ``ptr``)."""


def postfix_name(name: str) -> str:
    """A client name as the mail server gives it, lower-case; empty for ``unknown``, which hides temporary failures."""
    lowered = name.lower()
    return "" if lowered == "unknown" else lowered


def reverse_question(address: Address) -> Lookup:
    """Who are you?"""
    return Lookup(reverse_name(address), codes.PTR)


def reverse_lookups(attempt: Attempt) -> Iterable[Lookup]:
    """The reverse look-up, unless the mail server has told the name already or there is no client address."""
    if attempt.client_address is not None and not postfix_reverse_name(attempt):
        yield reverse_question(attempt.client_address)


def postfix_reverse_name(attempt: Attempt) -> str:
    """The reverse name that the mail server has found; a verified name is one, too."""
    return postfix_name(attempt.reverse_client_name) or postfix_name(attempt.client_name)


def reverse_names(attempt: Attempt, replies: Replies) -> tuple[str, ...] | Unknown | Skipped:
    """The client's reverse names, sorted; none for a definite denial or records that hold no host name.

    Names that are no host names do not count: getnameinfo(3) and smtpd refuse them as well.
    """
    if name := postfix_reverse_name(attempt):
        return (name,)
    if attempt.client_address is None:
        return ()
    reply = replies.get(reverse_question(attempt.client_address))
    if isinstance(reply, Records):
        return tuple(sorted({name for rdata in reply.rdatas if (name := _hostname(rdata))})[:MAX_NAMES])
    if isinstance(reply, Absent):
        return ()
    return reply if isinstance(reply, Unknown | Skipped) else Unknown(Why.TIMEOUT)


def _hostname(rdata: bytes) -> str:
    try:
        return hostname_of(target(codes.PTR, rdata))
    except ValueError:
        return ""
