"""Whether a message is what an entry asks for: the MATCH conditions, and the two strengths of comparing answers."""

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

from .rpl import FLAGS, Entry

_SHOWN = sum(FLAGS.values())
_DENIES = (6, 47, 50)
"""SOA, NSEC, NSEC3: what a denial's authority section is for."""


def records(rrsets: list[dns.rrset.RRset], ttl: bool = False) -> list[tuple[str, ...]]:
    """Single records as comparable values; names without letter case."""
    return sorted(
        (rrset.name.to_text().lower(), str(rrset.rdclass), str(rrset.rdtype), _text(rdata), str(rrset.ttl) if ttl else "")
        for rrset in rrsets
        if rrset.rdtype != dns.rdatatype.OPT
        for rdata in rrset
    )


def _text(rdata: object) -> str:
    try:
        return rdata.to_generic().data.hex() if not hasattr(rdata, "to_digestable") else rdata.to_digestable().hex()  # type: ignore[attr-defined]
    except Exception:
        return repr(rdata)


def query_matches(entry: Entry, query: dns.message.Message, udp: bool = True) -> bool:
    """Whether an outgoing query fulfils a template's conditions."""
    (asked,) = query.question
    for word in entry.match:
        if word == "opcode":
            holds = query.opcode() == entry.opcode
        elif word == "qtype":
            holds = entry.question is not None and int(asked.rdtype) == entry.question[1]
        elif word == "qname":
            holds = entry.question is not None and asked.name == entry.question[0]
        elif word == "qcase":
            holds = entry.question is not None and asked.name.to_wire() == entry.question[0].to_wire()
        elif word == "subdomain":
            holds = entry.question is not None and asked.name.is_subdomain(entry.question[0])
        elif word in ("question", "all"):
            holds = entry.question is not None and (asked.name, int(asked.rdtype)) == entry.question[:2]
        elif word == "flags":
            holds = query.flags & _SHOWN == entry.flags
        elif word == "rcode":
            holds = query.rcode() == entry.rcode
        elif word == "DO":
            holds = bool(query.ednsflags & dns.flags.DO)
        elif word == "noedns":
            holds = query.edns < 0
        elif word in ("UDP", "TCP"):
            holds = udp == (word == "UDP")
        else:
            raise ValueError(f"MATCH {word}")
        if not holds:
            return False
    return True


def strictly(entry: Entry, reply: dns.message.Message) -> list[str]:
    """What of dialect D's conditions the reply fails."""
    wanted = set(entry.match)
    if "all" in wanted:
        wanted |= {"opcode", "qtype", "qname", "flags", "rcode", "answer", "authority", "additional"}
    if "question" in wanted:
        wanted |= {"qname", "qtype"}
    faults = []
    asked = reply.question[0] if reply.question else None
    same = entry.question is None or (asked is not None and (asked.name, int(asked.rdtype)) == entry.question[:2])
    if wanted & {"qname", "qtype", "qcase"} and not same:
        faults.append(f"question: {asked}")
    if "opcode" in wanted and reply.opcode() != entry.opcode:
        faults.append(f"opcode {reply.opcode()}")
    if "rcode" in wanted and reply.rcode() != entry.rcode:
        faults.append(f"rcode: expected {entry.rcode}, got {reply.rcode()}")
    if "flags" in wanted and reply.flags & _SHOWN != entry.flags:
        faults.append(f"flags: expected {_flags(entry.flags)}, got {_flags(reply.flags)}")
    for word, rrsets in (("answer", reply.answer), ("authority", reply.authority), ("additional", reply.additional)):
        if word in wanted:
            faults += _differences(word, entry.records[word.upper()], rrsets, False)
    return faults


def essentially(entry: Entry, reply: dns.message.Message) -> list[str]:
    """What the reply gets wrong that a client would notice: question, rcode, flags, answer, and a denial's authority."""
    faults: list[str] = []
    wanted = set(entry.match)
    if not wanted:
        return faults
    if "all" in wanted or "all_noedns" in wanted or "question" in wanted:
        asked = reply.question[0] if reply.question else None
        if entry.question is not None and (asked is None or (asked.name, int(asked.rdtype)) != entry.question[:2]):
            faults.append(f"question: {asked}")
    if reply.rcode() != entry.rcode:
        faults.append(f"rcode: expected {entry.rcode}, got {reply.rcode()}")
    counted = _SHOWN & ~FLAGS["AA"]
    if (reply.flags ^ entry.flags) & counted and wanted & {"all", "all_noedns", "flags"}:
        faults.append(f"flags: expected {_flags(entry.flags)}, got {_flags(reply.flags)}")
    faults += _differences("answer", entry.records["ANSWER"], reply.answer, "ttl" in wanted)
    if not entry.records["ANSWER"] and entry.rcode in (0, 3):
        sections = entry.records["AUTHORITY"], reply.authority
        expected, got = ([each for each in rrsets if int(each.rdtype) in _DENIES] for rrsets in sections)
        faults += _differences("authority", expected, got, "ttl" in wanted)
    for word in wanted:
        if word.startswith("ede="):
            found = {int(option.code) for option in reply.options if int(option.otype) == 15}
            if not found or (word != "ede=any" and int(word[4:]) not in found):
                faults.append(f"{word}: got {found}")
    return faults


def _differences(section: str, expected: list[dns.rrset.RRset], got: list[dns.rrset.RRset], ttl: bool) -> list[str]:
    if records(expected, ttl) == records(got, ttl):
        return []
    return [f"{section}: expected {'; '.join(map(str, expected)) or 'nothing'}, got {'; '.join(map(str, got)) or 'nothing'}"]


def _flags(flags: int) -> str:
    return " ".join(name for name, bit in FLAGS.items() if flags & bit)
