"""What odd name servers make of a right answer, as functions from a question and the right answer's octets to what is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.situations import Asked

    Oddity = Callable[[Asked, bytes], bytes | None]
    """None: no answer."""

_OPT = b"\0\x29\x04\xd0" + bytes(6)
_COOKIE = 10


def _is_mixed(asked: Asked) -> bool:
    name = asked.message.question[0].name
    return name != dns.name.Name([label.lower() for label in name.labels]) or any(
        label != label.lower() for label in name.labels)


def _cookie(asked: Asked) -> bytes:
    return next((option.to_wire() for option in asked.message.options if option.otype == _COOKIE), b"")


def _reply(asked: Asked, rcode: str, *, edns: bool = True, aa: bool = True) -> bytes:
    reply = asked.reply(aa=aa)
    reply.authority.clear()
    reply.set_rcode(dns.rcode.from_text(rcode))
    if not edns:
        reply.use_edns(-1)
    return reply.to_wire()


# -- letters ------------------------------------------------------------------------------------------------------------------


def lower_cases(asked: Asked, right: bytes) -> bytes:
    """Sends the question back in lower case."""
    end = _behind_question(right) - 4
    return right[:12] + right[12:end].lower() + right[end:]


def for_mixed(rcode: str, *, denies: bool = False) -> Oddity:
    """Knows names in lower case only."""

    def oddity(asked: Asked, right: bytes) -> bytes:
        if not _is_mixed(asked):
            return right
        if not denies:
            return _reply(asked, rcode)
        reply = asked.reply()
        reply.set_rcode(dns.rcode.from_text(rcode))
        return reply.to_wire()

    return oddity


# -- cookies ------------------------------------------------------------------------------------------------------------------


def drops_cookies(asked: Asked, right: bytes) -> bytes | None:
    """Does not answer questions with a cookie."""
    return None if _cookie(asked) else right


def formerr_for_cookies(asked: Asked, right: bytes) -> bytes:
    """Does not understand options, but EDNS."""
    return _reply(asked, "FORMERR") if _cookie(asked) else right


def formerr_without_opt(asked: Asked, right: bytes) -> bytes:
    """Does not understand options, and says it as if it did not understand EDNS."""
    return _reply(asked, "FORMERR", edns=False) if _cookie(asked) else right


def foreign_cookie(asked: Asked, right: bytes) -> bytes:
    """Gives everybody the same cookie, as it has it in its cache."""
    return _with_cookie(asked, b"somebodyserver-cookie-16")


def bad_cookie(asked: Asked, right: bytes) -> bytes:
    """Is content with no cookie."""
    return _with_cookie(asked, _cookie(asked)[:8] + b"server-cookie-16", "BADCOOKIE") if _cookie(asked) else right


def stops_cookies(asked: Asked, right: bytes) -> bytes:
    """Has had cookies until a moment ago."""
    warm = asked.name.startswith("warm")
    return _with_cookie(asked, _cookie(asked)[:8] + b"server-cookie-16") if warm and _cookie(asked) else right


def _with_cookie(asked: Asked, cookie: bytes, rcode: str = "NOERROR") -> bytes:
    reply = asked.reply("A 45.95.0.1")
    option = dns.edns.GenericOption(_COOKIE, cookie)
    if asked.message.edns >= 0:
        reply.use_edns(0, options=[option])
    reply.set_rcode(dns.rcode.from_text(rcode))
    return reply.to_wire()


# -- framing ------------------------------------------------------------------------------------------------------------------


def _behind_question(wire: bytes) -> int:
    at = 12
    while wire[at]:
        at += 1 + wire[at]
    return at + 5


def _counted(wire: bytes, section: int, more: int = 1) -> bytes:
    at = 6 + 2 * section
    return wire[:at] + (int.from_bytes(wire[at : at + 2]) + more).to_bytes(2) + wire[at + 2 :]


def too_many(section: int) -> Oddity:
    """Announces one record more than there is (0: answer, 1: authority, 2: additional)."""
    return lambda asked, right: _counted(right, section)


def second_opt(asked: Asked, right: bytes) -> bytes:
    """Sends OPT twice."""
    return _counted(right, 2) + b"\0" + _OPT


def named_opt(asked: Asked, right: bytes) -> bytes:
    """Sends an OPT with a name."""
    bare = dns.message.from_wire(right)
    bare.use_edns(-1)
    return _counted(bare.to_wire(), 2) + b"\xc0\x0c" + _OPT


def option_past_opt(asked: Asked, right: bytes) -> bytes:
    """Sends an option that is longer than the record it stands in."""
    bare = dns.message.from_wire(right)
    bare.use_edns(-1)
    return _counted(bare.to_wire(), 2) + b"\0" + _OPT[:-2] + b"\0\6\0\x0f\0\x63xx"


def bad_additional(asked: Asked, right: bytes) -> bytes:
    """Sends an address of three octets in the additional section."""
    return _counted(right, 2) + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\3\1\2\3"


def cut_in_a_record(asked: Asked, right: bytes) -> bytes:
    """Cuts within the last record, and says so."""
    return right if asked.tcp else right[:2] + bytes([right[2] | 2]) + right[3:-5]


def cut_behind_the_question(asked: Asked, right: bytes) -> bytes:
    """Cuts behind the question, and says so, but counts what has been cut."""
    return right if asked.tcp else right[:2] + bytes([right[2] | 2]) + right[3 : _behind_question(right)]


def cut_without_question(asked: Asked, right: bytes) -> bytes:
    """Sends a header with TC set and nothing else."""
    return right if asked.tcp else right[:2] + bytes([right[2] | 2, right[3]]) + bytes(8)


def too_long(asked: Asked, right: bytes) -> bytes:
    """Sends more than was announced."""
    reply = dns.message.from_wire(right)
    reply.answer.append(dns.rrset.from_text(reply.question[0].name, 60, "IN", "TYPE65280", "\\# 1300 " + "78" * 1300))
    return reply.to_wire(max_size=65535)


# -- little -------------------------------------------------------------------------------------------------------------------


def empty(what: str = "") -> Oddity:
    """NOERROR and nothing that tells a denial, for all but addresses: `what`, the zone's NS, RA or the parent's SOA."""

    def oddity(asked: Asked, right: bytes) -> bytes:
        if asked.rtype == "A":
            return right
        reply = asked.reply(aa=False)
        reply.authority.clear()
        if what == "NS":
            reply.authority.append(dns.rrset.from_text(asked.zone, 300, "IN", "NS", f"ns1.{asked.zone}"))
        if what == "SOA":
            reply.authority.append(dns.rrset.from_text("com.", 300, "IN", "SOA", ". . 1 2 3 4 5"))
        if what == "RA":
            reply.flags |= dns.flags.RA
        return reply.to_wire()

    return oddity


def whole_names_only(asked: Asked, right: bytes) -> bytes | None:
    """Does not answer for names that nobody has made."""
    return right if asked.name.count(".") > asked.zone.count(".") + 2 or asked.name == asked.zone else None
