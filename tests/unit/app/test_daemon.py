"""The daemon as a process: its start, what it says of faults, what garbage does to it, and its end."""

import asyncio
import contextlib
import errno
import json
import os
import re
import resource
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import pytest
from click.testing import CliRunner
from stores import database, filled

from resolverd.app.listeners import Listeners, bind_dns
from resolverd.app.process import memory_remarks
from resolverd.cli.root import resolverd
from resolverd.config.files import parse
from resolverd.failures import ConfigFault
from resolverd.servers import unix_socket
from resolverd.servers.dns import tcp as dns_tcp
from tests.running import REQUEST, Running


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One that finds its store damaged, which makes no difference to anything here."""
    folder = tmp_path_factory.mktemp("daemon")
    asyncio.run(filled(folder / "var", 100, expires=time.time() + 1000))
    with database(folder / "var").open("r+b") as file:
        file.write(bytes(4096))
    running = Running(folder)
    yield running
    running.end()


GARBAGE = (
    b"\n\n",
    b"GET / HTTP/1.0\r\n\r\n", bytes(range(256)) * 20, b"a" * 100_000, b"request=smtpd_access_policy\nno equals sign\n\n",
)  # fmt: skip


def serve(file: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "resolverd", "serve", "-c", str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=20)


def test_without_internet_it_runs_and_says_why(daemon: Running) -> None:
    status, problem = daemon.http("/readyz")
    assert status == 503
    assert "root servers" in problem["detail"]
    assert daemon.http("/healthz")[0] == 200
    assert daemon.dns("example.com.").rcode() == dns.rcode.SERVFAIL
    daemon.waits_for("is there a way to the internet")


def test_a_damaged_store_is_told_loudly_and_what_can_be_read_is_put_back(daemon: Running) -> None:
    text = daemon.log.read_text()
    assert re.search(r"error: the store in .* cannot be used \(.*\): set aside as .*/store\.corrupt-", text)
    daemon.waits_for("100 records of 100 were recovered from the damaged store")
    assert daemon.http("/healthz")[0] == 200


def test_status_tells_what_is_answered_and_what_is_wrong(daemon: Running) -> None:
    daemon.waits_for("100 records of 100 were recovered from the damaged store")
    before = daemon.http("/v1/status")[1]
    for name in ("localhost.", "localhost.", "never-asked-before.example."):
        daemon.dns(name)
    status, found = daemon.http("/v1/status")
    assert (status, found["ready"], found["store"]["kind"]) == (200, False, "disk")
    assert (found["store"]["set_aside"], found["store"]["recovered"], found["store"]["fault"]) == (1, 100, "")
    assert any(problem.startswith("names cannot be resolved: ") for problem in found["problems"])
    assert found["questions"]["answered"] == before["questions"]["answered"] + 3

    def missed(questions: dict[str, Any]) -> int:
        return round(questions["answered"] * (1 - (1.0 if questions["cached"] is None else questions["cached"])))

    assert missed(found["questions"]) == missed(before["questions"]) + 1


def is_greylisted(reply: bytes) -> bool:
    """The one thing that needs no DNS: whoever comes back passes."""
    return reply.startswith(b"action=DEFER_IF_PERMIT 4.2.0 Greylisted")


def test_without_internet_nobody_is_deferred_but_by_greylisting(daemon: Running) -> None:
    assert is_greylisted(daemon.policy(REQUEST))


def test_terms_of_each_list_are_told_at_start(daemon: Running) -> None:
    text = daemon.log.read_text()
    for zone in ("zen.spamhaus.org", "dbl.spamhaus.org", "list.dnswl.org"):
        assert re.search(rf"{zone} +fewer than [0-9 ]+.*commercial use: .*https://", text), zone


@pytest.mark.parametrize("tcp", [False, True])
def test_local_names(daemon: Running, tcp: bool) -> None:
    assert daemon.dns("localhost.", tcp=tcp).answer[0].to_text() == "localhost. 10800 IN A 127.0.0.1"
    private = daemon.dns("1.0.0.10.in-addr.arpa.", "PTR", tcp=tcp)
    assert private.rcode() == dns.rcode.NXDOMAIN
    assert private.authority[0].rdtype == dns.rdatatype.SOA
    assert daemon.dns("2.0.0.127.bl.rbl.internal.", tcp=tcp).answer[0][0].to_text() == "127.0.0.2"
    assert daemon.dns("1.0.0.127.bl.rbl.internal.", tcp=tcp).rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize(
    ("rdclass", "rtype", "rcode"), [("CH", "TXT", "REFUSED"), ("IN", "AXFR", "REFUSED"), ("IN", "MAILB", "NOTIMP")]
)
def test_what_is_not_for_us(daemon: Running, rdclass: str, rtype: str, rcode: str) -> None:
    query = dns.message.make_query("version.bind.", rtype, rdclass)
    reply = dns.query.tcp(query, "127.0.0.1", 5, daemon.ports["DNS"])
    assert dns.rcode.to_text(reply.rcode()) == rcode


def test_any_is_small(daemon: Running) -> None:
    reply = daemon.dns("example.com.", "ANY")
    assert [each.rdtype for each in reply.answer] == [dns.rdatatype.HINFO]


def test_rd_0_recurses_for_nobody(daemon: Running) -> None:
    query = dns.message.make_query("never-asked.example.net.", "A", flags=0)
    assert dns.query.udp(query, "127.0.0.1", 5, daemon.ports["DNS"]).rcode() == dns.rcode.REFUSED


def test_garbage_at_every_door_changes_nothing(daemon: Running) -> None:
    loops = b"\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for packet in (b"", b"\0", os.urandom(11), os.urandom(400), loops, b"\xff" * 1500, b"\0" * 4096):
            sock.sendto(packet, ("127.0.0.1", daemon.ports["DNS"]))
    for octets in (b"\0", b"\0\0", b"\0\5abc", b"\xff\xff" + os.urandom(500), b"\0\x12" + loops):
        with socket.create_connection(("127.0.0.1", daemon.ports["DNS"]), 5) as sock:
            sock.sendall(octets)
    for octets in GARBAGE:
        with contextlib.suppress(OSError):  # the connection may be closed before all of it is sent
            assert b"action=" not in daemon.policy(octets)
    body = b"{not json"
    request = urllib.request.Request(
        f"http://127.0.0.1:{daemon.ports['HTTP']}/v1/verdict", data=body, headers={"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    with refused.value as error:
        assert error.code == 400
        assert error.headers["Content-Type"] == "application/problem+json"
    assert daemon.dns("localhost.").answer
    assert is_greylisted(daemon.policy(REQUEST))
    assert "Traceback" not in daemon.log.read_text()


def test_a_second_daemon_on_the_state_refuses(daemon: Running, tmp_path: Path) -> None:
    other = tmp_path / "config.toml"
    other.write_text(f'[dns]\nlisten=["127.0.0.1:0"]\n[policy]\nlisten=[]\n[http]\nlisten="127.0.0.1:0"\n[store]\nurl="disk:{daemon.folder}/var"\n')
    done = serve(other)
    assert done.returncode != 0
    assert str(daemon.process.pid) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_busy_port_is_named_with_its_holder(daemon: Running, tmp_path: Path) -> None:
    port = daemon.ports["DNS"]
    other = tmp_path / "config.toml"
    other.write_text(f'[dns]\nlisten=["127.0.0.1:{port}"]\n[http]\nlisten="127.0.0.1:{daemon.ports["HTTP"]}"\n')
    done = serve(other)
    assert done.returncode == 78
    for text in (f"dns.listen: 127.0.0.1:{port} is in use", "http.listen", f"(pid {daemon.process.pid})"):
        assert text in done.stderr


@pytest.mark.parametrize(("taken", "found"), [(2, True), (9, False)])
def test_a_port_of_the_systems_choice_is_free_for_tcp_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int, found: bool
) -> None:
    bind, busy = dns_tcp.bind, iter(range(taken))

    def often_busy(host: str, port: int) -> socket.socket:
        if next(busy, None) is not None:
            raise OSError(errno.EADDRINUSE, "in use")
        return bind(host, port)

    monkeypatch.setattr(dns_tcp, "bind", often_busy)
    faults: list[ConfigFault] = []
    bound = Listeners()
    bind_dns(parse('[dns]\nlisten = ["127.0.0.1:0"]', tmp_path), bound, set(), faults, [])
    assert [len(bound.udp), bool(faults)] == [int(found), not found]
    for udp, tcp in zip(bound.udp, bound.tcp, strict=True):
        assert udp.getsockname() == tcp.getsockname()
        udp.close()
        tcp.close()


def test_every_fault_of_a_configuration_at_once(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[dns]\nlisten=["nowhere"]\nalow=[]\n[greylist]\ndelay="soon"\n[lists.sorbs]\nenabled=true\n')
    done = serve(file)
    assert done.returncode == 78
    for text in ("dns.listen", "dns.alow", "dns.allow", "greylist.delay", "lists.sorbs", "2024-06-05"):
        assert text in done.stderr


def test_state_is_private(daemon: Running) -> None:
    state = daemon.folder / "var"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE((state / "resolverd.sock").stat().st_mode) == 0o660


@pytest.mark.parametrize(("octets", "words"), [(b"t\xc3\xb6ken\xff\n", "one word of printable ASCII"), (b"", "is empty")])
def test_a_damaged_token_stops_nothing_and_is_told(tmp_path: Path, octets: bytes, words: str) -> None:
    """It runs, the log names the file, and commands need no token, although a killed one has left its socket there."""
    (tmp_path / "var").mkdir(mode=0o700)
    unix_socket.bind(tmp_path / "var" / "resolverd.sock", 0o600).close()
    (tmp_path / "var" / "token").write_bytes(octets)
    (tmp_path / "var" / "token").chmod(0o600)
    running = Running(tmp_path)
    try:
        running.waits_for(words)
        assert str(tmp_path / "var" / "token") in running.log.read_text()
        done = CliRunner().invoke(resolverd, ["deny", "192.0.2.7", "-c", str(tmp_path / "config.toml")], prog_name="resolverd")
        assert (done.exit_code, done.output) == (0, "192.0.2.7 is denied, for good\n")
        assert running.http("/v1/overrides", "anything")[0] == 403
    finally:
        assert running.end() == 0
    assert not (tmp_path / "var" / "resolverd.sock").exists()


def test_what_takes_long_to_read_keeps_nobody_waiting_neither_at_the_start_nor_at_the_end(tmp_path: Path) -> None:
    """The ports answer before a large zone is read, its names with SERVFAIL; told to end meanwhile, it ends before the
    zone is read."""
    (tmp_path / "zones").mkdir()
    (tmp_path / "zones" / "small.test.zone").write_text("$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a\nwww A 192.0.2.1\n")
    hosts = "".join(f"h{number} A 192.0.2.1\n" for number in range(200_000))
    (tmp_path / "zones" / "large.test.zone").write_text(f"$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a\n{hosts}")
    running = Running(tmp_path)
    try:
        assert running.dns("h7.large.test.").rcode() == dns.rcode.SERVFAIL
        assert running.dns("localhost.").answer
        assert running.policy(REQUEST).startswith(b"action=")
        running.waits_for("small.test.zone: ")
        assert running.dns("www.small.test.").answer
    finally:
        status = running.end(within=2)
    assert status == 0
    assert "large.test.zone: " not in running.log.read_text()


def test_the_start_tells_of_an_address_space_too_small(tmp_path: Path) -> None:
    running = Running(tmp_path, '[cache]\nsize = "2GiB"', address_space=4 << 30)
    try:
        running.waits_for("the address space is limited to 4096 MiB (RLIMIT_AS)")
    finally:
        assert running.end() == 0


@pytest.mark.parametrize(("limit", "told"), [(1 << 38, True), (3 << 38, False), (resource.RLIM_INFINITY, False)])
def test_an_address_space_too_small_for_the_cache_is_told(tmp_path: Path, limit: int, told: bool) -> None:
    """Without memory Python fails anywhere; that it may come to that is said beforehand."""
    settings = parse('[cache]\nsize = "256GiB"', tmp_path)
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        remarks = memory_remarks(settings)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert ["limited to 262144 MiB (RLIMIT_AS)" in each for each in remarks] == [True] * told


def test_sighup_takes_a_new_configuration_and_survives_a_faulty_one(tmp_path: Path) -> None:
    running = Running(tmp_path)
    file = tmp_path / "config.toml"
    before = file.read_text()
    other = "[zone]\norigin='other.internal'\n[greylist]\nenabled = false\n"
    try:
        assert is_greylisted(running.policy(REQUEST))
        for more, expected in ((other, "was read again"), ("[nonsense]\n", "the old one stays")):
            file.write_text(before + more)
            running.process.send_signal(signal.SIGHUP)
            running.waits_for(expected)
        assert running.dns("2.0.0.127.bl.other.internal.").answer
        assert not is_greylisted(running.policy(REQUEST))
    finally:
        assert running.end() == 0


def test_a_reference_of_before_a_restart_opens(tmp_path: Path) -> None:
    """By HTTP, and for `allow --from-id`; whatever has become of the record, the daemon answers."""

    def started() -> Running:
        return Running(tmp_path)

    def asked(running: Running, path: str, method: str, given: object) -> tuple[int, Any]:
        url = f"http://127.0.0.1:{running.ports['HTTP']}{path}"
        headers = {"Authorization": f"Bearer {running.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(url, json.dumps(given).encode(), headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    attempt = {"client_address": "193.0.0.1", "helo_name": "h.example.com", "sender": "a@example.com"}
    running = started()
    try:
        refs = []
        for number in range(2):
            status, verdict = asked(running, "/v1/verdict", "POST", attempt | {"recipient": f"b{number}@example.org"})
            assert (status, verdict["action"]) == (200, "greylist")
            refs.append(verdict["id"])
        _, tried = running.http("/v1/verdict?client_address=193.0.0.2", running.token)
    finally:
        assert running.end() == 0
    with contextlib.closing(sqlite3.connect(database(tmp_path / "var"))) as file:
        pages = file.execute("SELECT rowid, value FROM Cache WHERE key BETWEEN ? AND ?", [b"verdicts\0", b"verdicts\1"])
        [(row, value)] = [(row, value) for row, value in pages if refs[0].encode() in value]
        damaged = value.replace(refs[0].encode(), b"?" * len(refs[0]))
        file.execute("UPDATE Cache SET value = ? WHERE rowid = ?", [damaged, row])
        file.commit()
    running = started()
    try:
        assert running.http(f"/v1/verdict/{refs[1]}")[0] == 401
        status, again = running.http(f"/v1/verdict/{refs[1]}", running.token)
        assert (status, again["id"], again["action"]) == (200, refs[1], "greylist")
        assert again["greylist"]["state"] == "new"
        assert again["findings"]
        for gone in (refs[0], tried["id"]):
            status, problem = running.http(f"/v1/verdict/{gone}", running.token)
            assert (status, problem["detail"]) == (404, "no verdict with this id, or not any more")
        allow = [sys.executable, "-m", "resolverd", "allow", "--from-id", refs[1], "-c", str(tmp_path / "config.toml"), "--json"]
        done = subprocess.run(allow, capture_output=True, text=True, timeout=20)
        assert (done.returncode, json.loads(done.stdout)["subject"]) == (0, "193.0.0.1"), done.stderr
        assert running.dns("1.0.0.193.why.rbl.internal.", "TXT").answer
    finally:
        running.end()


def test_sigterm_ends_it_within_two_seconds_even_amid_work(tmp_path: Path) -> None:
    """Before the clients go: nothing that they leave open holds it."""
    running = Running(tmp_path)
    with socket.create_connection(("127.0.0.1", running.ports["policy"]), 5) as client:
        client.sendall(REQUEST)
        with socket.create_connection(("127.0.0.1", running.ports["DNS"]), 5):
            assert running.end(within=2) == 0
