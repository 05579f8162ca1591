"""The openspf.org test suite for RFC 7208, those of ../shared/scenarios/spf where that folder is."""

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml

from resolverd.failures import Unknown, Why
from resolverd.mail.lookups import Absent, DnsLookup, DnsReply, Records
from resolverd.spf import SpfOutcome, SpfSubject, check_host
from resolverd.wire import codes
from resolverd.wire.names import from_labels, lower
from resolverd.wire.rdata import text

SUITE = Path(__file__).parents[4] / "shared" / "scenarios" / "spf" / "rfc7208-tests.yml"
CASES = 203
MOST_QUESTIONS = 150
"""More than any record of the suite may lead to."""

TIMEOUT = Unknown(Why.TIMEOUT)


def _name(name: str) -> bytes:
    return lower(from_labels([label.encode("latin-1") for label in name.removesuffix(".").split(".")])) if name else b"\0"


def _rdata(rtype: int, value: Any) -> bytes:
    if rtype in (codes.A, codes.AAAA):
        return ip_address(value).packed
    if rtype == codes.MX:
        return int(value[0]).to_bytes(2) + _name(value[1])
    if rtype == codes.TXT:
        return text(*(part.encode("latin-1") for part in ([value] if isinstance(value, str) else value)))
    return _name(value)


class Zone:
    """The zone data of one group of tests. A TXT record is made of each SPF record where a name has no TXT of its own."""

    def __init__(self, data: dict[str, list[Any]]) -> None:
        self.records: dict[DnsLookup, list[bytes]] = {}
        self.aliases: dict[bytes, bytes] = {}
        self.silent: set[bytes] = set()
        self.names: set[bytes] = set()
        for owner, entries in data.items():
            try:
                name = _name(owner)
            except ValueError:
                continue
            self.names.add(name)
            pairs = [next(iter(entry.items())) for entry in entries if isinstance(entry, dict)]
            if any(entry == "TIMEOUT" for entry in entries):
                self.silent.add(name)
            own_txt = any(rtype == "TXT" for rtype, _ in pairs)
            for rtype, value in pairs:
                if rtype == "SPF":
                    if own_txt:
                        continue
                    rtype = "TXT"
                if rtype == "CNAME":
                    self.aliases[name] = _name(value)
                elif value != "NONE":
                    number = codes.type_from_text(rtype)
                    self.records.setdefault(DnsLookup(name, number), []).append(_rdata(number, value))

    def reply(self, lookup: DnsLookup) -> DnsReply:
        name = lookup.name
        for _ in range(9):
            if name not in self.aliases:
                break
            name = self.aliases[name]
        else:
            return Unknown(Why.FAILED, "SERVFAIL")
        if rdatas := self.records.get(DnsLookup(name, lookup.rtype)):
            return Records(tuple(rdatas), 60)
        return TIMEOUT if name in self.silent else Absent(nxdomain=name not in self.names)


def run(zone: Zone, case: dict[str, Any]) -> SpfOutcome:
    sender = case["mailfrom"] or f"postmaster@{case['helo']}"
    subject = SpfSubject(ip_address(case["host"]), sender.rpartition("@")[2], sender, case["helo"])
    evaluation = check_host(subject)
    try:
        wanted = next(evaluation)
        for _ in range(MOST_QUESTIONS):
            wanted = evaluation.send(zone.reply(wanted[0]))
    except StopIteration as end:
        return end.value
    raise AssertionError("it never stops asking")


def _cases() -> Iterator[Any]:
    if not SUITE.exists():
        return
    for group in yaml.safe_load_all(SUITE.read_text()):
        zone = Zone(group["zonedata"])
        for name, case in group["tests"].items():
            yield pytest.param(zone, case, id=f"{group['description']}: {name}")


def test_the_suite_is_there() -> None:
    if not SUITE.exists():
        pytest.skip(f"{SUITE} is not there")
    assert len(list(_cases())) == CASES


@pytest.mark.parametrize(("zone", "case"), list(_cases()))
def test_rfc_7208(zone: Zone, case: dict[str, Any]) -> None:
    outcome = run(zone, case)
    allowed = case["result"] if isinstance(case["result"], list) else [case["result"]]
    assert outcome.result in allowed, outcome
    if "explanation" in case:
        assert outcome.explanation == ("" if case["explanation"] == "DEFAULT" else case["explanation"])
