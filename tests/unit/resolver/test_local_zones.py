"""Local zones from their files to the answer: reading and rereading, and their place before everything else that answers."""

import gzip
import logging
import os
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path

import pytest
from scriptednet import Net
from virtualtime import VirtualClock, virtual

from resolverd.app.local_zones import delegate
from resolverd.app.resolver import Resolution
from resolverd.app.zone_folder import ZoneFolder
from resolverd.config.settings import Stub
from resolverd.metrics import Counters
from resolverd.resolver.local import master_file
from resolverd.resolver.local.files import LocalZoneFiles, ZoneChange
from resolverd.resolver.local.local_zone import LocalZone
from resolverd.resolver.local.rbldnsd import FORMATS
from resolverd.resolver.local.table import LocalZones
from resolverd.resolver.local.zone_file import Stamp
from resolverd.wire import codes, rdata
from resolverd.wire.answer import Answer
from resolverd.wire.ask import Server
from resolverd.wire.names import Name, from_text, lower, to_text
from resolverd.wire.peek import Query
from resolverd.zones.answer import Answerer
from tests.replay.stack import root_hints, settings

HEAD = "$SOA 60 ns.example.net admin.example.net 1 60 60 60 60\n"


class Files:
    """A folder in memory: the test's own edge."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[Stamp, bytes]] = {}
        self.fault: OSError | None = None
        self.writes = 0

    def put(self, name: str, text: str, written: float = 0.0) -> None:
        self.writes += 1
        self.files[name] = Stamp(self.writes, len(text), written), text.encode()

    def scan(self) -> Mapping[str, Stamp]:
        if self.fault is not None:
            raise self.fault
        return {name: stamp for name, (stamp, _) in self.files.items()}

    def lines(self, name: str) -> Iterator[bytes]:
        if name not in self.files:
            raise FileNotFoundError(2, "No such file or directory")
        yield from self.files[name][1].splitlines(keepends=True)


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


class Zones:
    """`LocalZoneFiles` over such a folder; `changes` are those that it told."""

    def __init__(self) -> None:
        self.files, self.clock, self.counters = Files(), Clock(), Counters()
        self.zones = LocalZoneFiles(self.files, self.clock, self.counters)
        self.changes: list[ZoneChange] = []
        self.zones.on_change.append(self.changes.append)

    def says(self, name: str, rtype: int = codes.A) -> str | None:
        """RCODE and first record; None for nobody's name."""
        said = self.zones.table.ask(from_text(name), rtype)
        if said is None:
            return None
        answer = said.answer
        return rdata.summary(rtype, answer.answer[0].rdatas[0]) if answer.answer else codes.rcode_text(answer.rcode)


LISTED = "4.3.2.1.list.example"


# -- files ------------------------------------------------------------------------------------------------------------------


async def test_files_of_one_origin_are_one_zone() -> None:
    zones = Zones()
    zones.files.put("list.example.ip4set", HEAD + "$NS 60 ns.set\n1.2.3.4 :2\n")
    zones.files.put("LIST.example.dnset", "$NS 60 ns.names\nexample.com :3\n")
    zones.files.put("other.example.zone", "$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a\nwww A 192.0.2.1\n")
    zones.files.put("README.md", "nothing\n")
    zones.files.put("list.example.ip4set.bak", "5.5.5.5\n")
    zones.zones.load()
    assert sorted(to_text(zone.origin) for zone in zones.zones.table) == ["list.example.", "other.example."]
    assert zones.says(LISTED) == "127.0.0.2"
    assert zones.says("example.com.list.example") == "127.0.0.3"
    assert zones.says("list.example", codes.NS) == "ns.set."
    assert zones.says("www.other.example") == "192.0.2.1"
    assert zones.says("5.5.5.5.list.example") == "NXDOMAIN"
    assert zones.says("www.elsewhere.example") is None
    assert zones.zones.gauges() == {
        "zones": 2, "zone_entries": 7, "zone_files_broken": 0, "zone_lines_passed_over": 0, "zones_out_of_service": 0,
    }  # fmt: skip


async def test_a_changed_file_is_read_anew_and_others_are_not() -> None:
    zones = Zones()
    zones.files.put("list.example.ip4set", HEAD + "1.2.3.4\n")
    zones.files.put("other.example.ip4set", HEAD + "1.2.3.4\n")
    zones.zones.load()
    await zones.zones.refresh()
    assert len(zones.changes) == 1
    zones.files.put("list.example.ip4set", HEAD + "1.2.3.5\n")
    await zones.zones.refresh()
    assert zones.changes[-1].origins == {from_text("list.example")}
    assert zones.says(LISTED) == "NXDOMAIN"
    assert zones.says("5.3.2.1.list.example") == "127.0.0.2"
    assert zones.counters.get("zone_files", outcome="read") == 3
    del zones.files.files["list.example.ip4set"]
    await zones.zones.refresh()
    assert zones.says(LISTED) is None
    assert zones.changes[-1].origins == {from_text("list.example")}


async def test_a_file_being_written_is_left_until_it_is_at_rest() -> None:
    zones = Zones()
    zones.files.put("list.example.ip4set", HEAD + "1.2.3.4\n")
    zones.zones.load()
    zones.files.put("list.example.ip4set", HEAD + "1.2.3", written=zones.clock.now)
    await zones.zones.refresh()
    assert zones.says(LISTED) == "127.0.0.2"
    assert zones.says("5.3.2.1.list.example") == "NXDOMAIN"
    zones.files.put("list.example.ip4set", HEAD + "1.2.3.5\n", written=zones.clock.now)
    zones.clock.now += 2
    await zones.zones.refresh()
    assert zones.says(LISTED) == "NXDOMAIN"
    assert zones.says("5.3.2.1.list.example") == "127.0.0.2"


async def test_a_file_that_changes_while_it_is_read_is_read_once_more() -> None:
    zones = Zones()
    zones.files.put("list.example.ip4set", HEAD + "1.2.3.4\n")
    zones.zones.load()

    class Hasty(Files):
        def lines(self, name: str) -> Iterator[bytes]:
            yield from super().lines(name)
            self.put(name, HEAD + "1.2.3.6\n")

    hasty = Hasty()
    hasty.put("list.example.ip4set", HEAD + "1.2.3.5\n")
    await zones.zones.set_source(hasty, ())
    assert zones.says("5.3.2.1.list.example") == "127.0.0.2", "at the first reading there is nothing better"
    await zones.zones.refresh()
    assert zones.says("5.3.2.1.list.example") == "127.0.0.2", "the second was overtaken by a third"
    assert zones.says("6.3.2.1.list.example") == "NXDOMAIN"


@pytest.mark.parametrize(("name", "good", "bad", "why"), [
    ("list.example.ip4set", "1.2.3.4\n", "<html>\n", "no entry in it can be read; line 1: invalid address"),
    ("list.example.ip4set", "1.2.3.4\n", "$TIMESTAMP 2099:01:01\n1.2.3.5\n", "in the future"),
    ("list.example.zone", "@ 60 SOA a b 1 2 3 4 5\n4.3.2.1 60 A 127.0.0.2\n", "@ 60 SOA a b 1 2 3 4 5\nx 60 A 300\n", "line 2"),
    ("list.example.zone", "@ 60 SOA a b 1 2 3 4 5\n4.3.2.1 60 A 127.0.0.2\n", "x 60 A 192.0.2.1\n", "no SOA record"),
])  # fmt: skip
async def test_a_broken_file_keeps_what_was_there(
    name: str, good: str, bad: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    zones = Zones()
    zones.files.put(name, good)
    zones.zones.load()
    zones.files.put(name, bad)
    await zones.zones.refresh()
    await zones.zones.refresh()
    assert zones.says(LISTED) == "127.0.0.2"
    (told,) = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
    assert told.startswith(f"{name} cannot be used, what it held before stays: ")
    assert why in told
    assert zones.counters.get("zone_files", outcome="broken") == 1
    assert zones.zones.gauges()["zone_files_broken"] == 1
    zones.files.put(name, good)
    await zones.zones.refresh()
    assert zones.zones.gauges()["zone_files_broken"] == 0


async def test_a_zone_whose_file_never_was_good_answers_servfail(caplog: pytest.LogCaptureFixture) -> None:
    """As rbldnsd has it: not "not listed", and not the world's zone of that name."""
    zones = Zones()
    zones.files.put("list.example.ip4set", "<html>\n")
    zones.files.put("list.example.dnset", "example.com\n")
    zones.zones.load()
    assert zones.says(LISTED) == zones.says("example.com.list.example") == "SERVFAIL"
    assert "list.example. is answered with SERVFAIL" in caplog.text
    assert zones.zones.gauges()["zones_out_of_service"] == 1
    zones.files.put("list.example.ip4set", "1.2.3.4\n")
    await zones.zones.refresh()
    assert zones.says(LISTED) == zones.says("example.com.list.example") == "127.0.0.2"


async def test_expired_data_is_not_served() -> None:
    zones = Zones()
    zones.files.put("list.example.ip4set", HEAD + "$TIMESTAMP 2005:01:01 2027:01:16\n1.2.3.4\n")
    zones.zones.load()
    assert zones.says(LISTED) == "127.0.0.2"
    zones.clock.now += 86400
    await zones.zones.refresh()
    assert zones.says(LISTED) == zones.says("list.example", codes.SOA) == "SERVFAIL"
    assert zones.changes[-1].origins == {from_text("list.example")}
    zones.files.put("list.example.ip4set", HEAD + "$TIMESTAMP 2005:01:01 2028:01:01\n1.2.3.4\n")
    await zones.zones.refresh()
    assert zones.says(LISTED) == "127.0.0.2"


async def test_a_folder_that_is_gone_keeps_the_zones(caplog: pytest.LogCaptureFixture) -> None:
    zones = Zones()
    zones.files.fault = FileNotFoundError(2, "No such file or directory")
    zones.zones.load()
    assert not caplog.records, "no folder, no zones: nothing to be said"
    zones.files.fault = None
    zones.files.put("list.example.ip4set", "1.2.3.4\n")
    await zones.zones.refresh()
    for fault in (FileNotFoundError(2, "No such file or directory"), PermissionError(13, "Permission denied")):
        zones.files.fault = fault
        await zones.zones.refresh()
        assert zones.says(LISTED) == "127.0.0.2"
    assert sum("cannot be looked at" in record.message for record in caplog.records) == 1


async def test_a_name_that_is_no_domain(caplog: pytest.LogCaptureFixture) -> None:
    zones = Zones()
    zones.files.put("a..b.ip4set", "1.2.3.4\n")
    zones.zones.load()
    await zones.zones.refresh()
    assert len(zones.zones.table) == 0
    assert sum("is no zone" in record.message for record in caplog.records) == 1


async def test_lines_passed_over_are_told(caplog: pytest.LogCaptureFixture) -> None:
    zones = Zones()
    zones.files.put("list.example.ip4set", "1.2.3.4\n" + "nonsense\n" * 7)
    zones.zones.load()
    assert "list.example.ip4set, line 2: invalid address; passed over" in caplog.text
    assert "list.example.ip4set: 2 more lines passed over" in caplog.text
    assert zones.zones.gauges()["zone_lines_passed_over"] == 7


def test_a_folder(tmp_path: Path) -> None:
    folder = ZoneFolder(tmp_path / "zones")
    with pytest.raises(FileNotFoundError):
        folder.scan()
    (tmp_path / "zones" / "sub").mkdir(parents=True)
    plain, packed = tmp_path / "zones" / "a.example.ip4set", tmp_path / "zones" / "b.example.ip4set"
    plain.write_bytes(b"1.2.3.4\n1.2.3.5")
    packed.write_bytes(gzip.compress(b"1.2.3.4\n1.2.3.5"))
    (tmp_path / "zones" / ".a.example.ip4set.Xy12").write_text("half")
    (tmp_path / "zones" / "gone").symlink_to("nowhere")
    os.utime(plain, (5, 7))
    found = folder.scan()
    assert found.keys() == {plain.name, packed.name}
    assert found[plain.name][1:] == (15, 7)
    assert list(folder.lines(plain.name)) == list(folder.lines(packed.name)) == [b"1.2.3.4\n", b"1.2.3.5"]
    packed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(OSError, match="damaged"):
        list(folder.lines(packed.name))


# -- lists and a master file of one zone ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "rtype", "wanted"), [
    ("4.3.2.1", "A", ["127.0.0.2"]),
    ("4.3.2.1", "TXT", ['"said by the master file"', '"listed"']),
    ("5.3.2.1", "A", ["127.0.0.2"]),
    ("5.3.2.1", "MX", "NOERROR"),
    ("6.3.2.1", "A", ["192.0.2.9"]),
    ("7.3.2.1", "A", "NXDOMAIN"),
    ("1.9.9.9", "A", ["127.0.0.2"]),
    ("2.9.9.9", "A", ["192.0.2.9"]),
    ("www", "A", ["192.0.2.1"]),
    ("example.com", "A", ["elsewhere.example."]),
    ("3.2.1", "A", "NOERROR"),
    ("2.1", "A", "NOERROR"),
    ("", "SOA", ["a.list.example. b.list.example. 1 2 3 4 5"]),
    ("", "NS", "NOERROR"),
])  # fmt: skip
def test_a_master_file_beside_lists(name: str, rtype: str, wanted: list[str] | str) -> None:
    master = """
@ 60 SOA a b 1 2 3 4 5
4.3.2.1 60 TXT "said by the master file"
6.3.2.1 60 A 192.0.2.9
*.9.9.9 60 A 192.0.2.9
www 60 A 192.0.2.1
example.com 60 CNAME elsewhere.example.
"""
    origin = from_text("list.example")
    addresses = [b"1.2.3.4 :2:listed\n", b"1.2.3.5\n", b"9.9.9.1\n"]
    lists = [FORMATS["ip4set"](addresses, 0, 0), FORMATS["dnset"]([b"example.com\n"], 0, 0)]
    zone = LocalZone(origin, master_file.zone(master, origin), lists)
    rtype_number = codes.type_from_text(rtype)
    answer = zone.ask(from_text(f"{name}.list.example".lstrip(".")), rtype_number).answer
    if isinstance(wanted, str):
        assert codes.rcode_text(answer.rcode) == wanted
        assert not answer.answer
        assert answer.authority[0].rtype == codes.SOA
    else:
        (rrset,) = answer.answer
        assert [rdata.summary(rrset.rtype, data) for data in rrset.rdatas] == wanted


def test_a_list_without_soa_and_ns() -> None:
    zone = LocalZone(from_text("list.example"), None, [FORMATS["ip4set"]([b"1.2.3.4\n"], 0, 0)])
    for rtype, rcode in ((codes.SOA, codes.REFUSED), (codes.NS, codes.REFUSED), (codes.A, codes.NOERROR)):
        answer = zone.ask(from_text("list.example"), rtype).answer
        assert (answer.rcode, answer.answer, answer.authority) == (rcode, (), ())
    assert zone.ask(from_text("9.9.9.9.list.example"), codes.A).answer.authority == ()


# -- before everything else -------------------------------------------------------------------------------------------------


class Own:
    def __init__(self, table: LocalZones):
        self.table = table


CORP = """
$TTL 60
@     SOA   ns admin 1 2 3 4 5
@     NS    ns
www   A     10.0.0.1
shop  CNAME www.shop.
back  CNAME www
local CNAME localhost.
round CNAME round.shop.
inner CNAME host.sub
sub   NS    ns.sub
ns.sub A    45.9.0.1
far   NS    ns.shop.
"""


class World:
    """A resolver with local zones in front of a scripted internet."""

    def __init__(self, tmp_path: Path, *zones: tuple[str, str], **resolver: object):
        self.net = Net()
        self.shop = self.net.zone(
            "shop",
            {"ns.shop": "45.1.0.1"},
            "www A 193.0.0.1\nround CNAME round.corp.test.\nin CNAME back.corp.test.\nlost CNAME nothing.corp.test.",
        )
        self.net.zone("test", {"ns.test": "45.2.0.1"}, "www.corp A 193.6.6.6\nother A 193.0.0.2")
        hints = root_hints(tmp_path, "k.root-servers.net", ["198.41.0.4"])
        self.settings = settings(hints, resolver={"ipv6": False, "builtin_zones": True, **resolver}, cache={"prefetch": False})
        self.clock = VirtualClock()
        made = [LocalZone(name, master_file.zone(text, name)) for name, text in ((from_text(each), text) for each, text in zones)]
        self.own = Own(LocalZones())
        self.parts = Resolution(self.settings, self.net, self.clock, Counters(), local_zones=self.own)
        self.put(*made)

    def put(self, *zones: LocalZone) -> None:
        self.own.table = LocalZones(zones, self.parts.upstreams.zones)
        delegate(self.own.table, self.parts, self.settings)

    async def ask(self, name: str, rtype: int = codes.A) -> Answer:
        wanted = lower(from_text(name))
        answer = self.parts.resolve.known(wanted, rtype)
        return answer if answer is not None else await self.parts.resolve.resolve(wanted, rtype)


def shown(answer: Answer) -> list[str]:
    """RCODE, then each record's owner and data."""
    records = [f"{to_text(each.owner)} {rdata.summary(each.rtype, data)}" for each in answer.answer for data in each.rdatas]
    return [codes.rcode_text(answer.rcode), *records]


@virtual
async def test_local_zones_win_over_the_world_memory_and_what_is_built_in(tmp_path: Path) -> None:
    world = World(tmp_path, builtin_except=("test",))
    assert shown(await world.ask("www.corp.test")) == ["NOERROR", "www.corp.test. 193.6.6.6"]
    assert shown(await world.ask("new.corp.test")) == ["NXDOMAIN"]
    corp = from_text("corp.test")
    world.put(LocalZone(corp, master_file.zone(CORP + "new A 10.0.0.2\n", corp)))
    answer = await world.ask("www.corp.test")
    assert shown(answer) == ["NOERROR", "www.corp.test. 10.0.0.1"]
    assert answer.aa
    assert shown(await world.ask("new.corp.test")) == ["NOERROR", "new.corp.test. 10.0.0.2"]
    assert shown(await world.ask("other.test")) == ["NOERROR", "other.test. 193.0.0.2"]


@virtual
async def test_local_zones_below_a_built_in_one(tmp_path: Path) -> None:
    world = World(tmp_path, ("corp.test", CORP), ("7.10.in-addr.arpa", "@ 60 SOA a b 1 2 3 4 5\n1.1 60 PTR www.corp.test.\n"))
    assert shown(await world.ask("1.1.7.10.in-addr.arpa", codes.PTR)) == ["NOERROR", "1.1.7.10.in-addr.arpa. www.corp.test."]
    assert shown(await world.ask("1.1.8.10.in-addr.arpa", codes.PTR)) == ["NXDOMAIN"]
    assert shown(await world.ask("other.test")) == ["NXDOMAIN"]
    assert world.net.asked == []


@virtual
async def test_aliases_out_of_own_zones_and_into_them(tmp_path: Path) -> None:
    world = World(tmp_path, ("corp.test", CORP))
    out = await world.ask("shop.corp.test")
    assert shown(out) == ["NOERROR", "shop.corp.test. www.shop.", "www.shop. 193.0.0.1"]
    assert out.aa, "RFC 1035 §4.1.1: of the name that was asked"
    into = await world.ask("in.shop")
    assert shown(into) == ["NOERROR", "in.shop. back.corp.test.", "back.corp.test. www.corp.test.", "www.corp.test. 10.0.0.1"]
    assert not into.aa
    assert shown(await world.ask("in.shop")) == shown(into)
    assert shown(await world.ask("lost.shop")) == ["NXDOMAIN", "lost.shop. nothing.corp.test."]
    assert shown(await world.ask("local.corp.test")) == ["NOERROR", "local.corp.test. localhost.", "localhost. 127.0.0.1"]
    assert (await world.ask("round.corp.test")).rcode == codes.SERVFAIL
    assert shown(await world.ask("shop.corp.test", codes.CNAME)) == ["NOERROR", "shop.corp.test. www.shop."]


@virtual
async def test_what_an_own_zone_delegates_is_asked_of_its_servers(tmp_path: Path) -> None:
    world = World(tmp_path, ("corp.test", CORP))
    world.net.zone("sub.corp.test", {"ns.sub.corp.test": "45.9.0.1"}, "host A 193.0.0.9", parent=world.shop)
    world.net.servers["45.1.0.1"] = lambda query, ask: (
        far(query, ask) if ask.qname.lower().endswith(from_text("far.corp.test")) else world.shop(query, ask)
    )
    far = world.net.zone("far.corp.test", {"ns.shop": "45.1.0.2"}, "host A 193.0.0.10", parent=world.shop)
    answer = await world.ask("host.sub.corp.test")
    assert shown(answer) == ["NOERROR", "host.sub.corp.test. 193.0.0.9"]
    assert not answer.aa
    assert world.net.names() == [("host.sub.corp.test.", "A")]
    assert shown(await world.ask("inner.corp.test")) == [
        "NOERROR", "inner.corp.test. host.sub.corp.test.", "host.sub.corp.test. 193.0.0.9",
    ]  # fmt: skip
    assert shown(await world.ask("host.far.corp.test")) == ["NOERROR", "host.far.corp.test. 193.0.0.10"]
    assert shown(await world.ask("sub.corp.test", codes.DS)) == ["NOERROR"]
    assert ("sub.corp.test.", "DS") not in world.net.names()


@virtual
async def test_a_stub_zone_in_an_own_zone_is_its_servers(tmp_path: Path) -> None:
    stub = Stub("stub.corp.test", (Server(ip_address("45.8.0.1")),))
    world = World(tmp_path, ("corp.test", CORP), stub=(stub,))
    world.net.zone("stub.corp.test", {"ns.stub.corp.test": "45.8.0.1"}, "host A 193.0.0.8", parent=world.shop)
    assert shown(await world.ask("host.stub.corp.test")) == ["NOERROR", "host.stub.corp.test. 193.0.0.8"]


@virtual
async def test_who_wants_no_recursion_gets_what_own_zones_hold(tmp_path: Path) -> None:
    world = World(tmp_path, ("corp.test", CORP))
    answerer = Answerer(None, world.parts.resolve)

    def ask(name: str) -> Answer:
        qname = from_text(name)
        query = Query(1, 0, qname, codes.A, codes.IN, None, qname + b"\x00\x01\x00\x01")
        answer = answerer.try_cached(query)
        assert answer is not None
        return answer

    assert shown(ask("www.corp.test")) == ["NOERROR", "www.corp.test. 10.0.0.1"]
    assert shown(ask("shop.corp.test")) == ["NOERROR", "shop.corp.test. www.shop."]
    referral = ask("host.sub.corp.test")
    assert not referral.aa
    assert [to_text(each.owner) for each in referral.authority] == ["sub.corp.test."]
    assert [to_text(each.owner) for each in referral.additional] == ["ns.sub.corp.test."]
    assert ask("www.shop").rcode == codes.REFUSED


@virtual
async def test_a_new_delegation_takes_the_place_of_what_is_remembered(tmp_path: Path) -> None:
    world = World(tmp_path, builtin_except=("test",))
    test = world.net.servers["45.2.0.1"]
    assert shown(await world.ask("www.corp.test")) == ["NOERROR", "www.corp.test. 193.6.6.6"]
    name: Name = from_text("test")
    world.put(LocalZone(name, master_file.zone("@ 60 SOA a b 1 2 3 4 5\ncorp 60 NS ns.corp\nns.corp 60 A 45.9.0.9\n", name)))
    world.net.zone("corp.test", {"ns.corp.test": "45.9.0.9"}, "www A 193.0.0.3", parent=test)  # type: ignore[arg-type]
    assert shown(await world.ask("www.corp.test")) == ["NOERROR", "www.corp.test. 193.0.0.3"]


# -- at the start -----------------------------------------------------------------------------------------------------------


async def test_until_its_files_are_read_a_zone_is_servfail_and_small_files_come_first() -> None:
    """Nothing is served in part, nothing is denied that may be in a file not read yet, and nobody waits for the largest file."""
    zones = Zones()
    zones.files.put("small.example.zone", "$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a\nwww A 192.0.2.1\n")
    zones.files.put("list.example.dnset", "example.com\n")
    zones.files.put("list.example.ip4set", "1.2.3.4\n" + "9.9.9.9\n" * 200_000)
    zones.files.put("large.example.ip4set", "1.2.3.4\n" + "9.9.9.9\n" * 250_000)
    zones.zones.begin()
    asked = ("www.small.example", "example.com.list.example", LISTED, "4.3.2.1.large.example")
    assert [zones.says(name) for name in asked] == ["SERVFAIL"] * 4
    assert zones.says("www.elsewhere.example") is None
    seen = []
    for _ in range(4):
        await zones.zones.refresh()
        seen.append([zones.says(name) for name in asked])
    assert seen == [
        ["192.0.2.1", "SERVFAIL", "SERVFAIL", "SERVFAIL"],
        ["192.0.2.1", "127.0.0.2", "127.0.0.2", "SERVFAIL"],
        ["192.0.2.1", "127.0.0.2", "127.0.0.2", "127.0.0.2"],
        ["192.0.2.1", "127.0.0.2", "127.0.0.2", "127.0.0.2"],
    ]


def test_a_link_in_a_circle_disables_itself_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "good.example.zone").write_text("$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a\nwww A 192.0.2.1\n")
    (tmp_path / "loop.example.zone").symlink_to("loop.example.zone")
    (tmp_path / "README").symlink_to("README")
    (tmp_path / "file").write_text("")
    (tmp_path / "strange.example.ip4set").symlink_to("file/list")
    zones = LocalZoneFiles(ZoneFolder(tmp_path), Clock(), Counters())
    for read in (zones.begin, zones.load):
        read()
        for name in ("www.loop.example", "4.3.2.1.strange.example"):
            said = zones.table.ask(from_text(name), codes.A)
            assert said is not None
            assert said.answer.rcode == codes.SERVFAIL
    good = zones.table.ask(from_text("www.good.example"), codes.A)
    assert good is not None
    assert good.answer.answer
    assert "loop.example.zone cannot be used" in caplog.text
    assert "README" not in caplog.text


def test_a_file_too_large_for_the_memory_disables_itself_alone(caplog: pytest.LogCaptureFixture) -> None:
    class Cramped(Files):
        def lines(self, name: str) -> Iterator[bytes]:
            if name.startswith("large"):
                raise MemoryError
            return super().lines(name)

    files = Cramped()
    files.put("good.example.zone", "$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a\nwww A 192.0.2.1\n")
    files.put("large.example.ip4set", "1.2.3.4\n")
    zones = LocalZoneFiles(files, Clock(), Counters())
    zones.load()
    said = [zones.table.ask(from_text(name), codes.A) for name in ("www.good.example", "4.3.2.1.large.example")]
    assert [each and each.answer.rcode for each in said] == [codes.NOERROR, codes.SERVFAIL]
    assert "large.example.ip4set cannot be used" in caplog.text
    assert "SERVFAIL: there is not enough memory for it" in caplog.text
