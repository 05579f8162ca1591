"""Looking into the greylist and editing it; the store read out and filled; both over HTTP and as commands."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from served import Served, bound, serving
from virtualtime import VirtualClock, virtual

from resolverd.cli.root import resolverd
from resolverd.greylist import admin
from resolverd.greylist.admin import AllowsNobody, Census, GreylistAdmin, RecordFilter
from resolverd.greylist.decide import DAY, GreylistRules, Triplet, encode_triplet
from resolverd.greylist.organisation import VerifiedDomains
from resolverd.greylist.service import CLIENTS, SENDERS, TRIPLETS, Greylister
from resolverd.greylist.triplet import triplet
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.servers.http import dump_format
from resolverd.servers.http.dump_format import BadLine
from resolverd.state import dump as archive
from resolverd.state.base import Entry
from resolverd.state.dump import Loaded, Stored
from resolverd.state.memory import MemoryStore
from resolverd.values import replace

RULES = GreylistRules(key="organisation")
BOB = Attempt(ip_address("192.0.2.7"), sender="bob@example.com", recipient="anna@example.org")
CAROL = Attempt(ip_address("192.0.2.70"), sender="carol-17-x@example.com", recipient="Anna@example.org")
WAITING = encode_triplet(Triplet(0, 0, passed=False))
DAVE = Attempt(ip_address("2001:db8::7"), sender="", recipient="eve@example.org")


class Desk:
    def __init__(self, rules: GreylistRules = RULES) -> None:
        self.store, self.clock = MemoryStore(), VirtualClock()
        self.greylister = Greylister(self.store, self.clock, rules, Counters())
        self.book = GreylistAdmin(self.store, self.clock, rules)

    async def see(self, attempt: Attempt, *, times: int = 1, proof: VerifiedDomains | None = None) -> str:
        verified = proof or VerifiedDomains()
        for _ in range(times):
            outcome = await self.greylister.consider(attempt, record=True, suspicious=True, verify=lambda: verified)
            self.clock.set_wall(self.clock.wall() + 300)
        return outcome.state

    async def shown(self, wanted: RecordFilter = RecordFilter()) -> list[tuple[str, str, str | None, str | None, str]]:  # noqa: B008
        page = await self.book.find(wanted)
        return [(each.kind, each.origin, each.sender, each.recipient, each.state) for each in page.records]


BOBS = ("triplet", "192.0.2.0", "bob@example.com", "anna@example.org", "waiting")
CAROLS = ("triplet", "192.0.2.0", "carol-#-x@example.com", "anna@example.org", "passed")
CAROL_ITSELF = ("client", "192.0.2.70", None, None, "counting")
DAVES = ("triplet", "2001:db8::", "", "eve@example.org", "waiting")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (RecordFilter(), [CAROL_ITSELF, BOBS, CAROLS, DAVES]),
        (RecordFilter(ip_address("192.0.2.70")), [CAROL_ITSELF, BOBS, CAROLS]),
        (RecordFilter(ip_address("192.0.2.7")), [BOBS, CAROLS]),
        (RecordFilter(ip_address("::ffff:192.0.2.7")), [BOBS, CAROLS]),
        (RecordFilter(ip_address("192.0.3.7")), []),
        (RecordFilter(sender="Bob@Example.com"), [BOBS]),
        (RecordFilter(sender="carol-99-x@example.com"), [CAROLS]),
        (RecordFilter(sender=""), [DAVES]),
        (RecordFilter(recipient="anna@example.org"), [BOBS, CAROLS]),
        (RecordFilter(ip_address("192.0.2.1"), "bob@example.com", "anna@example.org"), [BOBS]),
        (RecordFilter(ip_address("192.0.2.1"), "bob@example.com", "eve@example.org"), []),
    ],
)
@virtual
async def test_what_is_sought_is_found_and_forgotten(wanted: RecordFilter, found: list[tuple[str, ...]]) -> None:
    desk = Desk()
    await desk.see(CAROL, times=2)
    await desk.see(BOB)
    await desk.see(DAVE)
    assert await desk.shown(wanted) == found
    everything = await desk.shown()
    count = (await desk.book.forget(wanted)).records
    assert count == (len(found) if wanted != RecordFilter() else 0)  # nothing said, nothing forgotten
    left = [each for each in everything if each not in found] if count else everything
    assert await desk.shown() == left


@virtual
async def test_senders_are_shown_and_forgotten() -> None:
    desk = Desk()
    await desk.see(BOB, times=2, proof=VerifiedDomains(hostname="mx.provider.example.net"))
    found = await desk.shown(RecordFilter(sender="whoever@example.com"))
    assert found == [("sender", "example.net", "example.com", None, "counting")]
    assert (await desk.book.forget(RecordFilter(sender="whoever@example.com"))).records == 1
    assert [entry async for entry in desk.store.scan(SENDERS, 0)] == []


@virtual
async def test_pages_go_on_where_the_last_one_ended() -> None:
    desk = Desk()
    for number in range(25):
        await desk.see(replace(BOB, recipient=f"r{number}@example.org"), times=2)
    found, start = [], None
    while True:
        page = await desk.book.find(RecordFilter(), start=start, limit=4)
        found += page.records
        if page.next is None:
            break
        start = type(page.next).read(str(page.next))
    assert len(found) == len(set(found)) == 26


class CountingStore(MemoryStore):
    """How often its tables are gone through from some key on, and how long each record of them takes."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.walks, self._seconds = 0, seconds

    async def scan(self, table: str, now: float, start: bytes = b"") -> AsyncIterator[Entry]:
        self.walks += table == TRIPLETS
        async for entry in super().scan(table, now, start):
            await asyncio.sleep(self._seconds)
            yield entry


def slow_desk(seconds: float, records: int = 30) -> tuple[CountingStore, GreylistAdmin, VirtualClock]:
    clock = VirtualClock()
    store = CountingStore(seconds)
    for number in range(records):
        store.put(TRIPLETS, triplet("192.0.2.0", f"s{number}@example.com", "anna@example.org"), WAITING, clock.wall() + DAY)
    return store, GreylistAdmin(store, clock, RULES), clock


@virtual
async def test_a_search_that_takes_long_is_answered_in_pieces_of_one_walk() -> None:
    """To begin a walk of a store that many hosts share is what takes longest there."""
    store, book, clock = slow_desk(seconds=1.0)
    wanted, begun = RecordFilter(sender="s7@example.com"), clock.monotonic()
    page, pages, found = await book.find(wanted), 1, 0
    while page.next is not None:
        assert clock.monotonic() - begun <= admin.LOOK_FOR + 1, "nobody waits for the whole of it"
        begun, found = clock.monotonic(), found + len(page.records)
        page, pages = await book.find(wanted, start=page.next), pages + 1
    assert pages > 3
    assert found + len(page.records) == 1
    assert store.walks == 1


@virtual
async def test_who_asks_for_something_else_or_later_has_a_walk_of_his_own() -> None:
    store, book, _ = slow_desk(seconds=1.0)
    first = await book.find(RecordFilter())
    assert await book.find(RecordFilter(sender="x@example.com"), start=first.next)
    assert store.walks == 2
    again = await book.find(RecordFilter(), start=first.next)
    assert store.walks == 3
    await asyncio.sleep(admin.KEPT_FOR)
    later = await book.find(RecordFilter(), start=again.next)
    assert store.walks == 4
    seen = {each.sender for page in (first, again, later) for each in page.records}
    assert len(seen) == sum(len(page.records) for page in (first, again, later))


@virtual
async def test_a_step_is_made_however_slow_the_store_is() -> None:
    _, book, _ = slow_desk(seconds=2 * admin.LOOK_FOR, records=3)
    page, steps = await book.find(RecordFilter()), 1
    while page.next is not None:
        page, steps = await book.find(RecordFilter(), start=page.next), steps + 1
    assert steps == 3


@virtual
async def test_what_takes_long_is_forgotten_in_pieces() -> None:
    store, book, clock = slow_desk(seconds=1.0)
    wanted = RecordFilter(recipient="anna@example.org")
    gone, total = await book.forget(wanted), 0
    while gone.next is not None:
        total += gone.records
        gone = await book.forget(wanted, start=gone.next)
    assert total + gone.records == 30
    assert store.walks == 1
    assert [entry async for entry in store.scan(TRIPLETS, clock.wall())] == []


@virtual
async def test_a_triplet_is_released_under_the_organisation_that_it_is_remembered_by() -> None:
    desk = Desk()
    proof = VerifiedDomains(spf_domain="example.com")
    await desk.see(BOB, proof=proof)
    desk.clock.set_wall(desk.clock.wall() - 299)
    assert await desk.book.release("example.org", "bob@example.com", "anna@example.org") is None
    released = await desk.book.release("example.com", "bob@example.com", "anna@example.org")
    assert released is not None
    assert (released.origin, released.state) == ("example.com", "passed")
    assert await desk.see(BOB, proof=proof) == "known"


async def test_who_is_allowed_waits_no_more() -> None:
    desk = Desk()
    assert (await desk.book.allow(ip_address("192.0.2.7"), "bob@example.com", "anna@example.org")).state == "passed"
    assert await desk.see(BOB) == "known"
    assert await desk.see(replace(BOB, sender="other@example.com")) == "new"
    assert (await desk.book.allow(ip_address("192.0.2.7"))).state == "allowed"
    assert await desk.see(replace(BOB, sender="another@example.com")) == "allowed"
    assert await desk.see(CAROL) == "new"
    desk.clock.set_wall(desk.clock.wall() + 36 * DAY)
    assert await desk.see(BOB) == "new"
    with pytest.raises(AllowsNobody):
        await Desk(GreylistRules(auto_allow_after=0)).book.allow(ip_address("192.0.2.7"))


# -- the store read out and filled ----------------------------------------------------------------------------------------


@virtual
async def test_all_records_move_and_what_lives_longer_stays() -> None:
    source, target = MemoryStore(), MemoryStore()
    for number in range(30):
        source.put("abc"[number % 3], b"%02d" % number, b"v%d" % number, 1000 + number)
    target.put("a", b"00", b"newer", 5000)
    target.put("a", b"03", b"older", 1)
    moved: list[Stored] = []
    start = None
    while True:
        part = await archive.read(source, 1005, start, 7)
        moved += part.records
        start = part.next
        if start is None:
            break
    assert len(moved) == 24  # six have expired
    old = Stored("a", b"00", b"v0", 1500)
    assert await archive.load(target, 1010, [*moved, old]) == Loaded(taken=19, kept=1, expired=5)
    assert await target.get("a", b"00", 1010) == b"newer"
    assert await archive.load(target, 1010, moved) == Loaded(taken=19, kept=0, expired=5)


@given(st.builds(Stored, st.sampled_from(["greylist", "b"]), st.binary(), st.binary(), st.floats(0, 2**40)))
def test_records_are_lines(record: Stored) -> None:
    line = json.dumps(dump_format.record_json(record))
    assert "\n" not in line
    assert dump_format.line_from(line) == record


def test_a_line_as_it_stands_in_the_manual() -> None:
    line = '{"table": "greylist", "key": "192.0.2.0/bob@example.com/anna@example.org", "value": "AQA=", "expires": 1700086400}'
    record = Stored("greylist", b"192.0.2.0/bob@example.com/anna@example.org", b"\x01\x00", 1700086400.0)
    assert dump_format.line_from(line) == record
    assert dump_format.line_from('{"resolverd": "9.9", "store": 1}') is None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "null",
        "{",
        '"x"',
        "{}",
        '{"resolverd": "1", "store": 2}',
        '{"table": "", "key": "k", "value": "", "expires": 1}',
        '{"table": "a\\u0000b", "key": "k", "value": "", "expires": 1}',
        '{"table": "t", "key": "k", "value": "%%", "expires": 1}',
        '{"table": "t", "key": "k", "value": null, "expires": 1}',
        '{"table": "t", "key": "k", "value": "", "expires": "soon"}',
        '{"table": "t", "key": "k", "value": "", "expires": NaN}',
        '{"table": "t", "key": "k", "value": "", "expires": true}',
        '{"table": "t", "key": "k", "key_base64": "", "value": "", "expires": 1}',
        '{"table": "t", "value": "", "expires": 1}',
        '{"table": "t", "key": "\\ud800", "value": "", "expires": 1}',
        '{"table": "t", "key": "k", "value": "", "expires": 1, "more": 1}',
        '{"table": "t", "key": 1, "value": "", "expires": 1}',
    ],
)
def test_a_line_that_is_none(line: str) -> None:
    with pytest.raises(BadLine):
        dump_format.line_from(line)


# -- as commands, with a daemon and without -------------------------------------------------------------------------------


def run(*arguments: str, **more: object) -> Result:
    return CliRunner().invoke(resolverd, list(arguments), prog_name="resolverd", **more)  # type: ignore[arg-type]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Served]:
    """A daemon in a thread with a loop of its own, on the socket for commands."""
    with serving(tmp_path) as served:
        yield served


@pytest.fixture
def nobody(tmp_path: Path) -> str:
    """A configuration with a state directory of its own, where no daemon runs."""
    with bound() as sock:
        (tmp_path / "alone").mkdir()
        file = tmp_path / "alone" / "config.toml"
        file.write_text(f'[http]\nlisten = "127.0.0.1:{sock.getsockname()[1]}"\n')
    return str(file)


def test_greylist_commands(daemon: Served) -> None:
    config = daemon.config
    given = ("--sender", "bob@example.com", "--recipient", "anna@example.org", "-c", config)
    assert run("greylist", "show", "-c", config).output == "nothing is remembered\n"
    assert "waits no more" in run("greylist", "allow", "192.0.2.7", *given).output
    assert "waits no more" in run("greylist", "allow", "2001:db8::7", "-c", config).output
    lines = run("greylist", "show", "-c", config).output.splitlines()
    assert lines[1].startswith("2001:db8::7\tallowed\tclient\t\t\t5\t")
    assert lines[2].startswith("192.0.2.0\tpassed\ttriplet\tbob@example.com\tanna@example.org\t")
    shown = json.loads(run("greylist", "show", "192.0.2.99", "--json", "-c", config).output)
    assert [(record["kind"], record["state"]) for record in shown["records"]] == [("triplet", "passed")]
    assert shown["more"] is False
    assert json.loads(run("greylist", "show", "--limit", "1", "--json", "-c", config).output)["more"] is True
    assert run("greylist", "forget", "--recipient", "anna@example.org", "-c", config).output == "1 records forgotten\n"
    assert run("greylist", "forget", "2001:db8::7", "-c", config).output == "1 records forgotten\n"
    assert run("greylist", "show", "-c", config).output == "nothing is remembered\n"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("greylist", "forget"), 2),
        (("greylist", "show", "nonsense"), 2),
        (("greylist", "allow", "192.0.2.1", "--sender", "a@b"), 2),
        (("import", "postgrey", "/nowhere/at/all"), 2),
    ],
)
def test_usage(daemon: Served, arguments: tuple[str, ...], status: int) -> None:
    assert run(*arguments, "-c", daemon.config).exit_code == status


def test_no_daemon_to_ask(nobody: str) -> None:
    result = run("greylist", "show", "-c", nobody)
    assert result.exit_code == 1
    assert "resolverd serve" in result.stderr


def test_dump_and_load_through_the_daemon_and_without_one(daemon: Served, nobody: str) -> None:
    config = daemon.config
    for number in range(2500):
        daemon.store.put(TRIPLETS, b"192.0.2.0/s%04d@example.com/r@example.org" % number, b"\x01\x00" + b"e" * 8, 4e9)
    daemon.store.put("other", b"\xff\x00", b"\0" * 32_768, 4e9)
    dump = run("store", "dump", "-c", config)
    assert dump.exit_code == 0
    assert len(dump.stdout.splitlines()) == 2502
    loaded = run("store", "load", "--json", "-c", nobody, input=dump.stdout)
    assert json.loads(loaded.stdout) == {"taken": 2501, "kept": 0, "expired": 0, "tables": {TRIPLETS: 2500, "other": 1}}
    again = run("store", "dump", "-c", nobody)
    assert again.stdout == dump.stdout
    daemon.store.delete("other", b"\xff\x00")
    loaded = run("store", "load", "-c", config, input=again.stdout)
    assert loaded.stdout.startswith("2501 records taken, 0 were there already")


@pytest.mark.parametrize("which", ["daemon", "nobody"])
def test_a_faulty_dump_loads_nothing(which: str, request: pytest.FixtureRequest) -> None:
    found = request.getfixturevalue(which)
    config = found if isinstance(found, str) else found.config
    good = '{"table": "t", "key": "k", "value": "", "expires": 4e9}\n'
    result = run("store", "load", "-c", config, input=f"{good}\n{good}rubbish\n")
    assert result.exit_code == 1
    assert "line 4: not JSON" in result.stderr
    assert len(run("store", "dump", "-c", config).stdout.splitlines()) == 1


def test_a_store_of_somebody_else_is_left_alone(nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("store", "dump", "-c", nobody).exit_code == 0
    monkeypatch.setattr("os.geteuid", lambda: 4242)
    result = run("store", "dump", "-c", nobody)
    assert result.exit_code == 1
    assert "belongs to user" in result.stderr


DUMP = """VERSION=3
format=print
type=btree
HEADER=END
 192.0.2.0/bob@example.com/anna@example.org
 {first},{last}
 192.0.2.0/old@example.com/anna@example.org
 100,900
DATA=END
VERSION=3
format=print
type=btree
HEADER=END
 192.0.2.7
 5,{last}
DATA=END
"""


def test_a_dump_of_postgreys_is_imported(daemon: Served, tmp_path: Path) -> None:
    config = daemon.config
    now = int(daemon.clock.wall())
    file = tmp_path / "dump"
    file.write_text(DUMP.format(first=now - 1000, last=now - 500))
    result = run("import", "postgrey", str(file), "--json", "-c", config)
    assert json.loads(result.stdout) == {"taken": 2, "kept": 0, "expired": 1, "tables": {TRIPLETS: 2, CLIENTS: 1}}
    lines = run("greylist", "show", "-c", config).output.splitlines()[1:]
    assert [line.split("\t")[1] for line in lines] == ["allowed", "passed"]
    assert run("greylist", "forget", "192.0.2.7", "-c", config).exit_code == 0
    slower = run("import", "postgrey", str(file), "--delay", "10m", "-c", config)
    assert slower.exit_code == 0
    assert "waiting" in run("greylist", "show", "-c", config).output
    back = run("store", "dump", "--postgrey", "-c", config)
    assert back.stdout.startswith("VERSION=3\nformat=bytevalue\n")
    file.write_text("rubbish\n")
    refused = run("import", "postgrey", str(file), "-c", config)
    assert refused.exit_code == 1
    assert "line 1: not the header" in refused.stderr


@pytest.mark.skipif(shutil.which("db5.3_load") is None, reason="needs db5.3-util")
def test_databases_are_made_and_read_with_berkeley_db(daemon: Served, tmp_path: Path) -> None:
    import subprocess

    config = daemon.config
    now = int(daemon.clock.wall())
    folder = tmp_path / "postgrey"
    folder.mkdir()
    text = DUMP.format(first=now - 1000, last=now - 500)
    for name, dump in zip(("postgrey.db", "postgrey_clients.db"), text.split("VERSION=3\n")[1:], strict=True):
        subprocess.run(["db5.3_load", str(folder / name)], input=f"VERSION=3\n{dump}", text=True, check=True)
    result = run("import", "postgrey", str(folder), "--json", "-c", config)
    assert json.loads(result.stdout)["tables"] == {TRIPLETS: 2, CLIENTS: 1}
    back = run("store", "dump", "--postgrey", "-c", config).stdout
    subprocess.run(["db5.3_load", str(folder / "back.db")], input=back, text=True, check=True)
    printed = subprocess.run(["db5.3_dump", "-p", str(folder / "back.db")], capture_output=True, text=True, check=True).stdout
    assert f" 192.0.2.0/bob@example.com/anna@example.org\n {now - 1000},{now - 500}\n" in printed
    (folder / "postgrey.db").write_bytes(b"no database")
    damaged = run("import", "postgrey", str(folder), "-c", config)
    assert damaged.exit_code == 1
    assert damaged.stderr.count("\n") >= 1
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "has no postgrey.db" in run("import", "postgrey", str(empty), "-c", config).stderr


@virtual
async def test_triplets_are_counted_up_to_a_bound_and_not_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    await desk.see(BOB)
    await desk.see(CAROL, times=2)
    await desk.see(DAVE)
    assert await desk.book.census() == Census(waiting=2, passed=1, complete=True)
    await desk.see(DAVE)
    assert (await desk.book.census()).passed == 1
    await asyncio.sleep(admin.CENSUS_AGE)
    assert await desk.book.census() == Census(waiting=1, passed=2, complete=True)
    monkeypatch.setattr(admin, "MAX_COUNTED", 2)
    await asyncio.sleep(admin.CENSUS_AGE)
    counted = await desk.book.census()
    assert (counted.waiting + counted.passed, counted.complete) == (2, False)


@virtual
async def test_of_what_many_hosts_share_that_is_counted_which_this_one_has_met() -> None:
    desk, met = Desk(), MemoryStore()
    await desk.see(BOB)
    await desk.see(CAROL, times=2)
    book = GreylistAdmin(desk.store, desk.clock, GreylistRules(), met)
    assert await book.census() == Census(waiting=0, passed=0, complete=False)
    async for entry in desk.store.scan(TRIPLETS, desk.clock.wall()):
        met.put(TRIPLETS, entry.key, entry.value, entry.expires)
        break
    await asyncio.sleep(admin.CENSUS_AGE)
    counted = await book.census()
    assert (counted.waiting + counted.passed, counted.complete) == (1, False)
