"""The scenario format: header, ranges of scripted answers, steps."""

import re
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

FLAGS = {"QR": 0x8000, "AA": 0x400, "TC": 0x200, "RD": 0x100, "RA": 0x80, "AD": 0x20, "CD": 0x10}
_RECORD = re.compile(r"(\S+)((?:\s+(?:\d+|IN|CH|HS|CLASS\d+))*)\s+(\S+)\s*(.*)$")
SECTIONS = ("ANSWER", "AUTHORITY", "ADDITIONAL")


@dataclass
class Entry:
    match: list[str] = field(default_factory=list)
    adjust: list[str] = field(default_factory=list)
    reply: list[str] = field(default_factory=list)
    question: tuple[dns.name.Name, int, int] | None = None
    records: dict[str, list[dns.rrset.RRset]] = field(default_factory=lambda: {name: [] for name in SECTIONS})
    raw: bytes | None = None
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
            if word not in FLAGS and word not in ("DO", "QUERY", "IQUERY", "STATUS", "NOTIFY", "UPDATE"):
                return int(dns.rcode.from_text(word))
        return 0

    @property
    def opcode(self) -> int:
        named = (word for word in self.reply if word in ("IQUERY", "STATUS", "NOTIFY", "UPDATE"))
        return next((int(dns.opcode.from_text(word)) for word in named), 0)

    def message(self) -> dns.message.Message:
        """The entry as a message of its own, ID 0."""
        out = dns.message.Message(id=0)
        out.flags = dns.flags.Flag(self.flags | dns.opcode.to_flags(dns.opcode.Opcode(self.opcode)))
        out.set_rcode(dns.rcode.Rcode(self.rcode))
        if self.question:
            name, rtype, rclass = self.question
            out.question = [dns.rrset.RRset(name, dns.rdataclass.RdataClass(rclass), dns.rdatatype.RdataType.make(rtype))]
        for section, rrsets in zip((out.answer, out.authority, out.additional), self.records.values(), strict=True):
            section.extend(rrsets)
        return out


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


def load(path: Path) -> Scenario:
    """A scenario of which nothing has been used yet."""
    read = _read(path)
    ranges = [replace(each, entries=[replace(entry) for entry in each.entries]) for each in read.ranges]
    return replace(read, ranges=ranges, steps=[replace(step, entry=step.entry and replace(step.entry)) for step in read.steps])


@cache
def _read(path: Path) -> Scenario:
    lines = [_uncomment(line) for line in path.read_text(errors="replace").splitlines()]
    end = next(number for number, line in enumerate(lines) if line.strip() == "CONFIG_END")
    raw_header = path.read_text(errors="replace").splitlines()[:end]
    header = [line for line in raw_header if line.strip() and line.strip()[0] not in ";#"]
    body = _Body([line for line in lines[end + 1 :] if line.strip()])
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
            elif keyword in ("$ORIGIN", "$TTL"):
                self.directive(words)
            elif section == "QUESTION":
                out.question = self.question(words)
            else:
                self.record(self.lines[self.at - 1], out.records[section])
        return out

    def question(self, words: list[str]) -> tuple[dns.name.Name, int, int]:
        rclass = 1
        rest = words[1:]
        if len(rest) > 1:
            rclass = int(dns.rdataclass.from_text(rest[0]))
        return dns.name.from_text(words[0], self.origin), int(dns.rdatatype.from_text(rest[-1])), rclass

    def record(self, line: str, into: list[dns.rrset.RRset]) -> None:
        parsed = _RECORD.match(line.strip())
        if parsed is None:
            raise ValueError(f"record {line!r}")
        owner, fields, mnemonic, text = parsed.groups()
        ttl, rclass = self.ttl, 1
        for word in fields.split():
            if word.isdigit():
                ttl = int(word)
            else:
                rclass = int(dns.rdataclass.from_text(word))
        rtype = dns.rdatatype.from_text(mnemonic)
        if '"' not in text:
            text = text.replace("(", " ").replace(")", " ")
        name = dns.name.from_text(owner, self.origin)
        rdata = self.rdata(dns.rdataclass.RdataClass(rclass), rtype, text)
        covers = dns.rdatatype.NONE if isinstance(rdata, dns.rdata.GenericRdata) else rdata.covers()
        for rrset in into:
            if rrset.name == name and rrset.rdtype == rtype and rrset.rdclass == rclass and rrset.covers == covers:
                rrset.add(rdata, ttl)
                return
        rrset = dns.rrset.RRset(name, dns.rdataclass.RdataClass(rclass), rtype, covers)
        rrset.add(rdata, ttl)
        into.append(rrset)

    def rdata(self, rclass: dns.rdataclass.RdataClass, rtype: dns.rdatatype.RdataType, text: str) -> dns.rdata.Rdata:
        if text.startswith("\\#"):
            octets = bytes.fromhex("".join(text.split()[2:]))
            return dns.rdata.GenericRdata(rclass, rtype, octets)
        try:
            return dns.rdata.from_text(rclass, rtype, text, self.origin, relativize=False)
        except (dns.exception.DNSException, ValueError):
            raise ValueError(f"record {rtype.name} {text!r}") from None
