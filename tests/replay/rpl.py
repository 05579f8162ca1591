"""The scenario format: header, ranges of scripted answers, steps."""

import re
import struct
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import dns.dnssec
import dns.exception
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from .wire import FLAGS, SECTIONS, Message, Question, Record

_RECORD = re.compile(r"(\S+)((?:\s+(?:\d+|IN|CH|HS|CLASS\d+))*)\s+(\S+)\s*(.*)$")
_OPCODES = ("IQUERY", "STATUS", "NOTIFY", "UPDATE")
_DIGESTS = (dns.rdatatype.DS, dns.rdatatype.CDS, dns.rdatatype.DLV)


@dataclass
class Entry:
    """`raw`: a message as octets in place of all else; `options`: those of an OPT record, None where none is scripted."""

    match: list[str] = field(default_factory=list)
    adjust: list[str] = field(default_factory=list)
    reply: list[str] = field(default_factory=list)
    question: Question | None = None
    records: dict[str, list[Record]] = field(default_factory=lambda: {name: [] for name in SECTIONS})
    raw: bytes | None = None
    options: bytes | None = None
    mandatory: bool = False
    used: bool = False

    @property
    def flags(self) -> int:
        return sum(FLAGS[word] for word in set(self.reply) if word in FLAGS)

    @property
    def do(self) -> bool:
        return "DO" in self.reply

    @property
    def rcode(self) -> int:
        for word in self.reply:
            if word == "NOTIMPL":
                return int(dns.rcode.NOTIMP)
            if word not in FLAGS and word not in ("DO", "QUERY", *_OPCODES):
                return int(dns.rcode.from_text(word))
        return 0

    @property
    def opcode(self) -> int:
        return next((int(dns.opcode.from_text(word)) for word in self.reply if word in _OPCODES), 0)

    def message(self) -> Message:
        """The entry as a message of its own, ID 0, without EDNS."""
        sections = {name: list(records) for name, records in self.records.items()}
        return Message(0, self.flags, self.opcode, self.rcode, self.question, sections)


@dataclass
class Range:
    first: int
    last: int
    addresses: list[str]
    entries: list[Entry]


@dataclass
class Step:
    number: int
    kind: str
    words: list[str]
    entry: Entry | None = None


@dataclass
class Scenario:
    path: Path
    header: list[str]
    title: str
    ranges: list[Range]
    steps: list[Step]

    @property
    def records(self) -> list[Record]:
        """All that are scripted."""
        entries = [entry for each in self.ranges for entry in each.entries]
        entries += [step.entry for step in self.steps if step.entry is not None]
        return [record for entry in entries for records in entry.records.values() for record in records]


def load(path: Path) -> Scenario:
    """A scenario of which nothing has been used yet."""
    read = _read(path)
    ranges = [replace(each, entries=[replace(entry) for entry in each.entries]) for each in read.ranges]
    return replace(read, ranges=ranges, steps=[replace(step, entry=step.entry and replace(step.entry)) for step in read.steps])


def record(line: str, origin: dns.name.Name = dns.name.root, default_ttl: int = 3600) -> Record:
    """A record in presentation form. Raises ValueError."""
    parsed = _RECORD.match(line.strip())
    if parsed is None:
        raise ValueError(f"record {line!r}")
    owner, fields, mnemonic, text = parsed.groups()
    ttl, rclass = default_ttl, 1
    for word in fields.split():
        if word.isdigit():
            ttl = int(word)
        else:
            rclass = int(dns.rdataclass.from_text(word))
    if '"' not in text:
        text = text.replace("(", " ").replace(")", " ")
    rtype = dns.rdatatype.from_text(mnemonic)
    return Record(dns.name.from_text(owner, origin), rclass, int(rtype), ttl, _rdata(rclass, rtype, text, origin))


def _rdata(rclass: int, rtype: dns.rdatatype.RdataType, text: str, origin: dns.name.Name) -> bytes:
    words = text.split()
    if text.startswith("\\#"):
        return bytes.fromhex("".join(words[2:]))
    if rtype in _DIGESTS:
        # Of any type of digest, and of any length.
        algorithm = int(dns.dnssec.algorithm_from_text(words[1]))
        return struct.pack("!HBB", int(words[0]), algorithm, int(words[2])) + bytes.fromhex("".join(words[3:]))
    try:
        rdata = dns.rdata.from_text(dns.rdataclass.RdataClass(rclass), rtype, text, origin, relativize=False)
    except (dns.exception.DNSException, ValueError):
        raise ValueError(f"record {rtype.name} {text!r}") from None
    return rdata.to_wire() or b""


@cache
def _read(path: Path) -> Scenario:
    lines = path.read_text(errors="replace").splitlines()
    end = next(number for number, line in enumerate(lines) if line.strip() == "CONFIG_END")
    header = [line for line in lines[:end] if line.strip() and line.strip()[0] not in ";#"]
    body = _Body([line for line in map(_uncomment, lines[end + 1 :]) if line.strip()])
    return body.scenario(path, header)


def _uncomment(line: str) -> str:
    quoted = False
    for at, char in enumerate(line):
        if char == '"':
            quoted = not quoted
        elif char == ";" and not quoted:
            return line[:at].rstrip()
    return line.rstrip()


class _Body:
    def __init__(self, lines: list[str]):
        self.lines = lines
        self.at = 0
        self.origin = dns.name.root
        self.ttl = 3600

    def next(self) -> list[str]:
        line = self.lines[self.at]
        self.at += 1
        return line.split()

    def scenario(self, path: Path, header: list[str]) -> Scenario:
        out = Scenario(path, header, "", [], [])
        while self.at < len(self.lines):
            words = self.next()
            if words[0] == "SCENARIO_BEGIN":
                out.title = " ".join(words[1:])
            elif words[0] == "RANGE_BEGIN":
                out.ranges.append(self.range(words))
            elif words[0] == "STEP":
                step = Step(int(words[1]), words[2], words[3:])
                if self.at < len(self.lines) and self.lines[self.at].split()[0] == "ENTRY_BEGIN":
                    self.next()
                    step.entry = self.entry()
                out.steps.append(step)
            elif words[0] in ("$ORIGIN", "$TTL"):
                self.directive(words)
            elif words[0] != "SCENARIO_END":
                raise ValueError(f"{path.name}: {' '.join(words)!r}")
        return out

    def directive(self, words: list[str]) -> None:
        if words[0] == "$ORIGIN":
            self.origin = dns.name.from_text(words[1])
        else:
            self.ttl = int(words[1])

    def range(self, words: list[str]) -> Range:
        out = Range(int(words[1]), int(words[2]), words[3:], [])
        while (words := self.next())[0] != "RANGE_END":
            if words[0] == "ADDRESS":
                out.addresses.append(words[1])
            elif words[0] == "ENTRY_BEGIN":
                out.entries.append(self.entry())
            else:
                self.directive(words)
        return out

    def entry(self) -> Entry:
        out = Entry()
        section = ""
        while (words := self.next())[0] != "ENTRY_END":
            keyword = words[0]
            if keyword == "MATCH":
                out.match += words[1:]
            elif keyword == "ADJUST":
                out.adjust += words[1:]
            elif keyword in ("REPLY", "FLAGS"):
                out.reply += words[1:]
            elif keyword == "SECTION":
                section = words[1]
            elif keyword == "MANDATORY":
                out.mandatory = True
            elif keyword == "RAW":
                out.raw = bytes.fromhex("".join(self.next()))
            elif keyword == "HEX_ANSWER_BEGIN":
                out.raw = self.hexadecimal("HEX_ANSWER_END")
            elif keyword == "HEX_EDNSDATA_BEGIN":
                out.options = self.hexadecimal("HEX_EDNSDATA_END")
            elif keyword in ("$ORIGIN", "$TTL"):
                self.directive(words)
            elif section == "QUESTION":
                out.question = self.question(words)
            else:
                out.records[section].append(record(self.lines[self.at - 1], self.origin, self.ttl))
        return out

    def hexadecimal(self, end: str) -> bytes:
        words: list[str] = []
        while (line := self.next())[0] != end:
            words += line
        return bytes.fromhex("".join(words))

    def question(self, words: list[str]) -> Question:
        # A TTL, where there is one, says nothing.
        *classes, rtype = [word for word in words[1:] if not word.isdigit()]
        rclass = int(dns.rdataclass.from_text(classes[0])) if classes else 1
        return dns.name.from_text(words[0], self.origin), int(dns.rdatatype.from_text(rtype)), rclass
