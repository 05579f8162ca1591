"""Whether a message is what an entry asks for: the MATCH conditions, and the two strengths of comparing answers."""

from collections.abc import Iterable

from .rpl import Entry
from .wire import FLAGS, SHOWN, Message, Record

_SOA = 6
_PROOFS = (47, 50)
"""NSEC, NSEC3."""
_ALL = frozenset({"all", "all_noedns"})
_ALL_OF_D = frozenset({"opcode", "qtype", "qname", "flags", "rcode", "answer", "authority", "additional"})


def query_matches(entry: Entry, query: Message, udp: bool = True) -> bool:
    """Whether an outgoing query fulfils a template's conditions."""
    return all(_holds(word, entry, query, udp) for word in entry.match)


def _holds(word: str, entry: Entry, query: Message, udp: bool) -> bool:
    assert query.question is not None
    name, rtype, _ = query.question
    wanted = entry.question
    if word in ("opcode", "rcode"):
        return bool(getattr(query, word) == getattr(entry, word))
    if word == "qtype":
        return wanted is not None and rtype == wanted[1]
    if word == "qname":
        return wanted is not None and name == wanted[0]
    if word == "qcase":
        return wanted is not None and name.to_wire() == wanted[0].to_wire()
    if word == "subdomain":
        return wanted is not None and name.is_subdomain(wanted[0])
    if word in ("question", *_ALL):
        return query.question == wanted
    if word == "flags":
        return query.flags == entry.flags
    if word == "DO":
        return query.do
    if word == "noedns":
        return query.edns is None
    if word == "ednsdata":
        return query.options == (entry.options or b"")
    if word in ("UDP", "TCP"):
        return udp == (word == "UDP")
    if word in ("answer", "authority", "additional"):
        return _keys(query.sections[word.upper()]) == _keys(entry.records[word.upper()])
    if word == "ttl":
        return True  # a question has none
    raise ValueError(f"MATCH {word}")


def strictly(entry: Entry, reply: Message) -> list[str]:
    """What of dialect D's conditions the reply fails."""
    wanted = set(entry.match)
    if "all" in wanted:
        wanted |= _ALL_OF_D
    if "question" in wanted:
        wanted |= {"qname", "qtype"}
    faults = []
    if wanted & {"qname", "qtype", "qcase"}:
        faults += _question(entry, reply)
    if "opcode" in wanted and reply.opcode != entry.opcode:
        faults.append(f"opcode: expected {entry.opcode}, got {reply.opcode}")
    if "rcode" in wanted:
        faults += _rcode(entry, reply)
    if "flags" in wanted:
        faults += _flags(entry, reply, SHOWN)
    if "edns" in wanted and reply.edns != 0:
        faults.append(f"edns: version {reply.edns}")
    for word in ("answer", "authority", "additional"):
        if word in wanted:
            faults += _differences(word, entry.records[word.upper()], reply.sections[word.upper()], False)
    return faults + _errors(entry, reply)


def essentially(entry: Entry, reply: Message) -> list[str]:
    """What the reply gets wrong that a client would notice.

    Question, RCODE, flags, answer; a denial's SOA and proofs, and the proof that a wildcard was the closest match
    (RFC 4035 §3.1.3.3). What else an authority section holds, such as proof that a target's zone is not signed, helps nobody.
    """
    faults: list[str] = []
    wanted = set(entry.match)
    whole, ttl = bool(wanted & _ALL), "ttl" in wanted
    if whole or "question" in wanted:
        faults += _question(entry, reply)
    if whole or "rcode" in wanted:
        faults += _rcode(entry, reply)
    if whole or "flags" in wanted:
        # AA is said of local data only, and the resolver has none here.
        faults += _flags(entry, reply, SHOWN & ~FLAGS["AA"])
    if wanted & {"all", "DO"} and reply.do != entry.do:
        faults.append(f"DO: expected {entry.do}, got {reply.do}")
    if whole or "answer" in wanted:
        faults += _differences("answer", entry.records["ANSWER"], reply.sections["ANSWER"], ttl)
    if whole:
        faults += _proofs(entry, reply, ttl)
    if "ednsdata" in wanted and reply.options != (entry.options or b""):
        faults.append(f"EDNS options: got {reply.options.hex()}")
    return faults + _errors(entry, reply)


def _proofs(entry: Entry, reply: Message, ttl: bool) -> list[str]:
    if not entry.records["ANSWER"]:
        kinds: tuple[int, ...] = (_SOA, *_PROOFS) if entry.rcode in (0, 3) else ()
    else:
        kinds = _PROOFS if any(each.is_expanded for each in entry.records["ANSWER"]) else ()
    sections = entry.records["AUTHORITY"], reply.sections["AUTHORITY"]
    expected, got = ([each for each in records if each.covered in kinds] for records in sections)
    return _differences("authority", expected, got, ttl)


def _question(entry: Entry, reply: Message) -> list[str]:
    if entry.question is None or entry.question == reply.question:
        return []
    return [f"question: expected {_words(entry.question)}, got {_words(reply.question)}"]


def _words(question: object) -> str:
    return " ".join(map(str, question)) if isinstance(question, tuple) else "none"


def _rcode(entry: Entry, reply: Message) -> list[str]:
    if reply.rcode == entry.rcode:
        return []
    why = "".join(f"; {text} ({code})" for code, text in reply.errors.items())
    return [f"rcode: expected {entry.rcode}, got {reply.rcode}{why}"]


def _flags(entry: Entry, reply: Message, counted: int) -> list[str]:
    if not (reply.flags ^ entry.flags) & counted:
        return []
    expected, got = (" ".join(name for name, bit in FLAGS.items() if each.flags & bit) for each in (entry, reply))
    return [f"flags: expected {expected}, got {got}"]


def _errors(entry: Entry, reply: Message) -> list[str]:
    wanted = [word for word in entry.match if word.startswith("ede=")]
    missing = [word for word in wanted if not reply.errors or (word != "ede=any" and int(word[4:]) not in reply.errors)]
    return [f"{word}: got {sorted(reply.errors)}" for word in missing]


def _keys(records: Iterable[Record], ttl: bool = False) -> list[tuple[object, ...]]:
    return sorted((*each.key, each.ttl if ttl else 0) for each in records)


def _differences(section: str, expected: list[Record], got: list[Record], ttl: bool) -> list[str]:
    """Record for record: one that comes twice is one too many."""
    if _keys(expected, ttl) == _keys(got, ttl):
        return []
    return [f"{section}: expected {'; '.join(map(str, expected)) or 'nothing'}, got {'; '.join(map(str, got)) or 'nothing'}"]
