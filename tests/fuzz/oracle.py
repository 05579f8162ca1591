"""What dnspython makes of the octets of a message, beside what our codec does; and where the two are meant to differ."""

from __future__ import annotations

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from resolverd import bounds
from resolverd.wire import codes, rdata
from resolverd.wire.message import Excessive, Malformed, Message, parse
from resolverd.wire.names import lower

DIFFERENCES = {
    "budget": "Ours refuses more labels and pointers than any honest message has (CVE-2026-96405); dnspython bounds each name "
    "alone.",
    "questions": "Ours refuses two questions (RFC 9619 §4); dnspython reads any number.",
    "tolerated": "Ours reads what stands before a fault, and `whole` tells how much that is; dnspython refuses the message.",
    "types": "Ours wants names where RFC 1035 has them in MD, MF, MB, MG, MR and MINFO, and RFC 2535 in SIG and NXT; dnspython "
    "takes these as octets.",
    "rdata": "Ours reads rdata of types that it does not act on as octets (RFC 3597 §3), EDNS options as well, and looks at no "
    "opcode: that of a reply is compared with the question's; dnspython wants all of it as its RFC has it.",
    "opt": "Ours takes an OPT from any section and under any name, the first of several, as servers have been seen to send "
    "it; dnspython refuses it.",
    "tsig": "Ours reads TSIG as any other record: no key is known; dnspython wants one.",
}
"""Why ours is stricter or more tolerant, where it is. Beside these: records of other classes than IN are passed over."""

_OPAQUE_TO_THEM = frozenset({codes.MD, codes.MF, codes.MB, codes.MG, codes.MR, codes.MINFO, codes.SIG, codes.NXT})
_NOT_COMPARED = _OPAQUE_TO_THEM | {codes.OPT}


def compare(data: bytes) -> str:
    """What the two make of a message: ``same``, ``refused`` by both, or of `DIFFERENCES` the reason.

    Raises AssertionError where they differ for none of these; Malformed never.
    """
    ours: Message | None = None
    excessive = False
    try:
        ours = parse(data)
    except Malformed as error:
        excessive = isinstance(error, Excessive) or isinstance(error.__cause__, Excessive)
    theirs, why = _theirs(data)
    if ours is None:
        if theirs is None:
            return "refused"
        if excessive:
            return "budget"
        assert int.from_bytes(data[4:6]) > 1, "dnspython reads a message that ours refuses"
        return "questions"
    if theirs is None:
        if ours.whole < 3:
            return "tolerated"
        return why
    if ours.whole < 3 and int.from_bytes(data[4:6]) > 1:
        return "questions"
    if ours.whole < 3:
        records = [each for section in theirs.sections[1:] for rrset in section for each in rrset]
        assert any(int(each.rdtype) in _OPAQUE_TO_THEM for each in records), "dnspython reads the whole of what ours calls faulty"
        return "types"
    _check_same(ours, theirs)
    return "same"


def _theirs(data: bytes) -> tuple[dns.message.Message | None, str]:
    try:
        return dns.message.from_wire(data, one_rr_per_rrset=True, ignore_trailing=True), ""
    except dns.message.UnknownTSIGKey:
        return None, "tsig"
    except dns.message.BadTSIG:
        return None, "tsig"
    except dns.message.BadEDNS:
        return None, "opt"
    except dns.exception.DNSException:
        return None, "rdata"
    except ValueError:
        return None, "rdata"


def _check_same(ours: Message, theirs: dns.message.Message) -> None:
    assert ours.id == theirs.id
    assert ours.flags == int(theirs.flags)
    if ours.edns is None or theirs.opt is not None:
        assert ours.rcode == int(theirs.rcode())
    if ours.qname is None:
        assert not theirs.question
    else:
        asked = theirs.question[0]
        assert (ours.qname, ours.qtype, ours.qclass) == (asked.name.to_wire(), int(asked.rdtype), int(asked.rdclass))
    sections = (ours.answer, theirs.answer), (ours.authority, theirs.authority), (ours.additional, theirs.additional)
    for mine, others in sections:
        found = {
            (lower(rrset.owner), rtype, each)
            for rrset in mine
            for rtype, datas in ((rrset.rtype, rrset.rdatas), (codes.RRSIG, rrset.sigs))
            for each in datas
            if rtype not in _NOT_COMPARED
        }
        sent = set()
        for rrset in others:
            if rrset.rdclass == dns.rdataclass.IN and int(rrset.rdtype) not in _NOT_COMPARED:
                owner = lower(rrset.name.to_wire())
                sent |= {(owner, int(rrset.rdtype), each.to_generic().data) for each in rrset}
        # dnspython tidies rdata of types that we take as octets.
        mine_known = {each for each in found if _is_ours(each[1])}
        sent_known = {each for each in sent if _is_ours(each[1])}
        over = sum(len(rrset.sigs) >= bounds.MAX_SIGNATURES for rrset in mine)
        assert mine_known == sent_known or (over and mine_known <= sent_known)
        assert {each[:2] for each in found} == {each[:2] for each in sent}


def _is_ours(rtype: int) -> bool:
    return rtype in rdata.LAYOUTS or rtype in (codes.A, codes.AAAA, codes.TXT)


def digestable(rtype: int, octets: bytes) -> bytes | None:
    """An rdata's canonical form (RFC 4034 §6.2) as dnspython has it; None for what it cannot read, or reads as octets alone."""
    if rtype in _OPAQUE_TO_THEM:
        return None
    try:
        read = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.RdataType(rtype), octets, 0, len(octets))
        return read.to_digestable(dns.name.root)
    except (dns.exception.DNSException, ValueError):
        return None
