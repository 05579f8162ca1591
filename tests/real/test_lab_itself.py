"""The lab can be trusted: its internet answers as designed, labs are apart, and nothing of one is left."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from tests.lab.daemon import until
from tests.lab.lab import Lab
from tests.lab.lists import LISTS, List
from tests.lab.model import CLOSED, SILENT
from tests.lab.namespace import LAB, ROOT
from tests.lab.questions import NOBODY_ANSWERS, PLAIN_KINDS, UNRESOLVABLE, ask_all, questions
from tests.lab.rbldnsd import ListServer
from tests.lab.tap import SeenQuery
from tests.lab.unbound import unbound
from tests.lab.world import WORLD

NSD_PROGRAMS = [program for program in WORLD.carried if not program.startswith("list ")]


def ask(server: str, name: str, rdtype: str = "A", timeout: float = 2.0) -> dns.message.Message:
    """Ask one server one question, without recursion."""
    query = dns.message.make_query(name, rdtype)
    query.flags &= ~dns.flags.RD
    return dns.query.udp(query, server, timeout=timeout)


def codes(server: str, name: str) -> set[str]:
    """Give the addresses that a list answers."""
    return {rdata.address for rrset in ask(server, name).answer for rdata in rrset}


@pytest.mark.parametrize("program", NSD_PROGRAMS)
def test_every_address_of_a_program_serves_every_zone_it_carries(lab: Lab, program: str) -> None:
    for address in WORLD.addresses(program):
        for zone in WORLD.carried[program]:
            reply = ask(address, zone.name, "SOA")
            assert reply.rcode() == dns.rcode.NOERROR, (address, zone.name)
            assert reply.flags & dns.flags.AA, (address, zone.name)


@pytest.mark.parametrize(("zone", "host"), [(zone.name, host) for zone in WORLD.zones.values() for host in zone.lame])
def test_a_lame_server_does_not_answer_for_the_zone(lab: Lab, zone: str, host: str) -> None:
    for address in WORLD.hosts[host].addresses:
        reply = ask(address, zone, "SOA")
        assert not reply.flags & dns.flags.AA
        assert reply.rcode() == dns.rcode.REFUSED or reply.authority[0].name.to_text() == f"{zone}."


@pytest.mark.parametrize("host", [host.name for host in WORLD.hosts.values() if host.program in (SILENT, CLOSED)])
def test_a_dead_server_is_silent_or_closed(lab: Lab, host: str) -> None:
    for address in WORLD.hosts[host].addresses:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.1)
            sock.connect((address, 53))
            sock.send(dns.message.make_query("com", "NS").to_wire())
            with pytest.raises(TimeoutError if WORLD.hosts[host].program == SILENT else ConnectionRefusedError):
                sock.recv(512)


@pytest.mark.parametrize("details", LISTS, ids=lambda details: details.zone)
def test_a_list_has_the_test_points_of_rfc_5782(lab: Lab, details: List) -> None:
    for server in WORLD.addresses(details.program):
        if details.kind == "address":
            for listed in ("2.0.0.127", "2.0.0.0.0.0.f.7.f.f.f.f" + ".0" * 20):
                assert codes(server, f"{listed}.{details.zone}")
            unlisted = "1.0.0.127"
        else:
            assert codes(server, f"test.{details.zone}")
            unlisted = "invalid"
        assert ask(server, f"{unlisted}.{details.zone}").rcode() == dns.rcode.NXDOMAIN


def test_zen_gives_every_code_of_its_test_point(lab: Lab) -> None:
    server = WORLD.addresses("list zen.spamhaus.org")[0]
    assert codes(server, "2.0.0.127.zen.spamhaus.org") == {"127.0.0.2", "127.0.0.4", "127.0.0.10"}


@pytest.fixture
def zen(lab: Lab) -> Iterator[ListServer]:
    """The list that a test breaks."""
    server = lab.lists["zen.spamhaus.org"]
    yield server
    server.heal()
    assert codes(server.addresses[0], "66.2.0.192.zen.spamhaus.org") == {"127.0.0.2", "127.0.0.4"}


WAYS_TO_BREAK: dict[str, tuple[Callable[[ListServer], None], object]] = {
    "stopped": (lambda zen: zen.stop(), ConnectionRefusedError),
    "silent": (lambda zen: zen.silence(), TimeoutError),
    "refusing": (lambda zen: zen.refuse(), dns.rcode.REFUSED),
    "blocked": (lambda zen: zen.answer_all("127.255.255.254", "Error: open resolver"), {"127.255.255.254"}),
    "parked": (lambda zen: zen.answer_all("192.0.2.1"), {"192.0.2.1"}),
    "wildcarded": (lambda zen: zen.answer_all("127.0.0.2"), {"127.0.0.2"}),
    "relisted": (lambda zen: zen.relist([("192.0.2.66", "127.0.0.77", "")]), {"127.0.0.77"}),
}


@pytest.mark.parametrize("way", WAYS_TO_BREAK)
def test_one_list_is_broken_without_the_others(lab: Lab, zen: ListServer, way: str) -> None:
    break_it, expected = WAYS_TO_BREAK[way]
    break_it(zen)
    name = "66.2.0.192.zen.spamhaus.org"
    if isinstance(expected, type):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.1)
            sock.connect((zen.addresses[0], 53))
            sock.send(dns.message.make_query(name, "A").to_wire())
            with pytest.raises(expected):
                sock.recv(512)
    elif isinstance(expected, set):
        assert codes(zen.addresses[0], name) == expected
    else:
        assert ask(zen.addresses[0], name).rcode() == expected
    assert codes(WORLD.addresses("list bl.spamcop.net")[0], "66.2.0.192.bl.spamcop.net") == {"127.0.0.2"}


async def test_unbound_finds_what_the_data_says(lab: Lab) -> None:
    """Questions whose kind says what must come back; what resolvers may differ in is compared elsewhere."""
    asked = [question for question in questions(WORLD) if question.kind not in NOBODY_ANSWERS
             and not any(odd in question.kind for odd in ("CNAME", "DNAME", "refer", "wildcard", "non-terminal"))]
    with lab.running(unbound("127.0.0.2", lab.mail)):
        answers = await ask_all(WORLD, "127.0.0.2", asked)
    wrong = []
    for question, answer in zip(asked, answers, strict=True):
        assert answer.message is not None, question
        zone_kind, _, negative = question.kind.partition(", ")
        negative = negative or (zone_kind if zone_kind in ("NXDOMAIN", "NODATA") else "")
        if zone_kind in UNRESOLVABLE:
            expected = (dns.rcode.SERVFAIL, False)
        elif negative:
            expected = (dns.rcode.NXDOMAIN if negative == "NXDOMAIN" else dns.rcode.NOERROR, False)
        elif zone_kind in PLAIN_KINDS or zone_kind.isupper() or "server" in zone_kind or "glue" in zone_kind:
            expected = (dns.rcode.NOERROR, True)
        else:
            continue
        if (answer.message.rcode(), bool(answer.message.answer)) != expected:
            wrong.append(f"{question}: {answer.message}")
    assert not wrong, "\n\n".join(wrong)


def test_the_tap_counts_each_query_once(lab: Lab) -> None:
    server = WORLD.addresses("list zen.spamhaus.org")[0]
    with lab.tap() as tap:
        for last in (1, 2, 3):
            ask(server, f"{last}.0.0.127.zen.spamhaus.org")
        ask("45.10.0.1", "honest-mail.com", "MX")
        dns.query.tcp(dns.message.make_query("Large.com", "TXT"), "45.10.0.1", timeout=2)
        seen = tap.queries()
        assert tap.queries() == []
    assert seen == [
        *(SeenQuery(server, f"{last}.0.0.127.zen.spamhaus.org", "A", "udp") for last in (1, 2, 3)),
        SeenQuery("45.10.0.1", "honest-mail.com", "MX", "udp"),
        SeenQuery("45.10.0.1", "large.com", "TXT", "tcp"),
    ]


# --- other labs, started from here ------------------------------------------------------------------------------------

ENTER = [sys.executable, "-m", "tests.lab", "enter", "--"]


@contextmanager
def in_another_lab(program: str) -> Iterator[subprocess.Popen[str]]:
    """Run a Python program inside a lab of its own; it prints "up", and goes on until it is ended."""
    # A shell starts what it runs in the background with SIGINT ignored, which is passed on; in a terminal nothing is.
    process = subprocess.Popen([*ENTER, sys.executable, "-c", program], cwd=ROOT, text=True, start_new_session=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first == "up\n", first + process.stdout.read()
        yield process
    finally:
        process.kill()
        process.communicate()


def reaches(address: str, port: int) -> bool:
    with socket.socket() as sock:
        sock.settimeout(0.5)
        return sock.connect_ex((address, port)) == 0


def test_two_labs_do_not_meet() -> None:
    neighbour = """
import socket, sys
from pathlib import Path
from tests.lab.namespace import LAB
mine = LAB / "mine"
assert not mine.exists()
mine.touch()
listener = socket.create_server(("192.0.2.200", 5300))
Path("/etc/resolv.conf").write_text("nameserver 192.0.2.200\\n")
print("up", flush=True)
sys.stdin.read()
"""
    resolv_conf = Path("/etc/resolv.conf").read_text()
    with in_another_lab(neighbour) as first, in_another_lab(neighbour) as second:
        assert not reaches("192.0.2.200", 5300)
        assert not (LAB / "mine").exists()
        assert Path("/etc/resolv.conf").read_text() == resolv_conf
        for each in (first, second):
            each.communicate("")
            assert each.returncode == 0


def traces() -> dict[str, object]:
    """What a lab could leave behind: mounts, interfaces, files."""
    return {
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "interfaces": sorted(os.listdir("/sys/class/net")),
        "files": sorted(str(path) for place in ("/run", "/run/netns") for path in Path(place).glob("*")),
    }


def descendants(pid: int) -> set[int]:
    """Give the process ids below one, itself included."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(re.search(r"PPid:\t(\d+)", (entry / "status").read_text())[1])  # type: ignore[index]
            except (FileNotFoundError, ProcessLookupError):
                continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


@pytest.mark.parametrize(("number", "to"), [
    (signal.SIGKILL, os.kill),
    (signal.SIGTERM, os.kill),
    (signal.SIGINT, os.killpg),              # Ctrl-C in a terminal reaches the whole process group
])
def test_nothing_is_left_however_a_lab_ends(
    number: signal.Signals, to: Callable[[int, int], None]
) -> None:
    before = traces()
    program = """
import time
from tests.lab.lab import Lab
with Lab(rtt=0.002) as lab, lab.stack("tutorial"):
    print("up", flush=True)
    time.sleep(600)
"""
    with in_another_lab(program) as outer:
        below = descendants(outer.pid)
        assert len(below) > 30
        to(outer.pid, number)
        outer.communicate(timeout=10)
        for _ in until(5):
            alive = {pid for pid in below if Path(f"/proc/{pid}").exists()}
            if not alive:
                break
    assert not alive
    assert traces() == before


def test_the_wire_puts_a_round_trip_between_mail_server_and_internet() -> None:
    done = subprocess.run([*ENTER, sys.executable, "-c", """
import time
import dns.message, dns.query
from tests.lab.lab import Lab
from tests.lab.smtp import Session
with Lab(rtt=0.02) as lab, lab.tap() as tap:
    for server in ("198.41.0.4", "2001:503:ba3e::2:30", "45.90.0.1"):
        times = []
        for n in range(10):
            began = time.perf_counter()
            dns.query.udp(dns.message.make_query("com", "NS"), server, timeout=2)
            times.append(time.perf_counter() - began)
        assert 0.02 <= min(times) < 0.03, (server, times)  # what comes on top is the machine's
    assert len(tap.queries()) == 30
    with lab.stack("tutorial"):
        assert lab.deliver("192.0.2.66", "mail.spam-factory.net", "a@spam-factory.net").refused
        assert lab.deliver("2001:db8:66::66", "mail.spam-factory.net", "a@spam-factory.net").refused
"""], cwd=ROOT, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_tutorials_stack_plays_every_scene() -> None:
    done = subprocess.run([*ENTER, sys.executable, "-m", "tests.lab", "--stack", "tutorial"], cwd=ROOT, text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "X-Greylist: delayed" in done.stdout


@pytest.mark.parametrize(("arguments", "status", "says"), [
    (["--stack", "no-such"], 2, "invalid choice"),
    (["--rtt", "20"], 2, "write 20ms or 0.5s"),
    (["--main-cf", "combined"], 2, "goes with --shell"),
])
def test_a_wrong_command_line_is_told_plainly(arguments: list[str], status: int, says: str) -> None:
    done = subprocess.run([sys.executable, "-m", "tests.lab", *arguments], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == status
    assert says in done.stderr


def test_the_command_inside_gives_its_exit_status() -> None:
    assert subprocess.run([*ENTER, "sh", "-c", "exit 7"], cwd=ROOT).returncode == 7
    began = time.monotonic()
    assert subprocess.run([*ENTER, "sh", "-c", "sleep 600 & exit 0"], cwd=ROOT).returncode == 0
    assert time.monotonic() - began < 10
