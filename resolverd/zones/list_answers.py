"""What is answered to a question about a list or a subject once it is known, pure."""

from resolverd.dnsbl.aggregate import UNREACHABLE
from resolverd.dnsbl.response import FAILURE_TTL, ListResponse
from resolverd.dnsbl.spec import ListSpec
from resolverd.failures import Unknown
from resolverd.mail.lookups import Listed
from resolverd.overrides.rules import DENY
from resolverd.wire import codes, rdata
from resolverd.wire.answer import Answer, servfail
from resolverd.wire.names import Name
from resolverd.zones import dnsbl_zone
from resolverd.zones.dnsbl_zone import ParsedName, ZoneAnswer
from resolverd.zones.guard import Guarded
from resolverd.zones.override_lookup import OverrideResult


def never_asked(found: Guarded, rtype: int) -> Answer | None:
    """The answer to a question that no list is asked."""
    if rtype not in (codes.A, codes.TXT):
        return dnsbl_zone.negative(found.zone, dnsbl_zone.DEFAULT_TTL, nxdomain=False)
    if found.spec is None:
        return dnsbl_zone.negative(found.zone, dnsbl_zone.MAX_TTL, nxdomain=True)
    return None


def of_subject(origin: Name, parsed: ParsedName, name: Name, rtype: int, said: ZoneAnswer) -> Answer:
    """The answer that gives what is said of a name's subject."""
    if not said.addresses and (rtype == codes.A or not said.texts):
        return dnsbl_zone.negative(origin, said.ttl, nxdomain=not parsed.node and not said.texts)
    rdatas = said.addresses if rtype == codes.A else (dnsbl_zone.strings(said.texts),)
    return dnsbl_zone.positive(name, rtype, rdatas, said.ttl)


def of_list(found: Guarded, spec: ListSpec, name: Name, rtype: int, response: ListResponse) -> Answer:
    """The answer that gives a list's response; where it has none, "not listed" of block lists, of allow lists SERVFAIL."""
    if isinstance(response.reply, Unknown):
        if spec.allows and response.reply.why in UNREACHABLE:
            return servfail(codes.EDE_NO_REACHABLE_AUTHORITY, f"{spec.shown} cannot be reached")
        return dnsbl_zone.negative(found.zone, FAILURE_TTL, nxdomain=True)
    if not response.addresses:
        return dnsbl_zone.negative(found.zone, response.ttl, nxdomain=True)
    if rtype == codes.A:
        return dnsbl_zone.positive(name, rtype, response.addresses, response.ttl)
    if not isinstance(response.reply, Listed):
        return dnsbl_zone.negative(found.zone, response.ttl, nxdomain=False)
    return dnsbl_zone.positive(name, rtype, (txt(response.reply.reason),), response.ttl)


def overridden(zone: Name, spec: ListSpec, override: OverrideResult, name: Name, rtype: int) -> Answer | None:
    """What an override makes of a list's answer; None for the list's own.

    Whoever is allowed is on no block list, whoever is denied on every one, and on no allow list.
    """
    if override.action is None:
        return None
    ttl = min(dnsbl_zone.PARTIAL_TTL, override.ttl or dnsbl_zone.PARTIAL_TTL)
    if (override.action == DENY) == spec.allows:
        return dnsbl_zone.negative(zone, ttl, nxdomain=True)
    if spec.allows:
        return None
    said = (spec.codes.example,) if rtype == codes.A else (txt(dnsbl_zone.DENIED),)
    return dnsbl_zone.positive(name, rtype, said, ttl)


def txt(text: str) -> bytes:
    """TXT rdata of any text, in strings of at most 255 octets."""
    octets = text.encode("ascii", "replace")
    return rdata.text(*(octets[at : at + 255] for at in range(0, max(1, len(octets)), 255)))
