"""The list engine on real servers: no failure of a list costs a good client its mail, every query is accounted for, no key shows.

The scenes are those of `tests.lab.trial`, over a wire with a round trip of 20 ms: 200 clients, 190 of them spam.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import traceback
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import dns.message
import dns.query
import pytest
from click.testing import CliRunner

from resolverd.cli.root import resolverd as command
from tests.lab.daemon import Daemon
from tests.lab.lab import Lab
from tests.lab.namespace import LAB, ROOT
from tests.lab.resolverd import CONFIG, HTTP, resolverd
from tests.lab.trial import BEFORE, SCENES

ENTER = [sys.executable, "-m", "tests.lab", "enter", "--", sys.executable]
DEFERRED = "allow list dead (dnswl)"
ALL = "all is well"
SLOW = "slow (psbl, 800 ms)"
LABS = 4
"""Side by side: what they do costs little, they mostly wait for lists and for clients."""


@pytest.fixture(scope="module")
def scenes() -> dict[str, dict[str, Any]]:
    """Every scene played once, in labs of their own. The table is printed."""
    labs = [
        subprocess.Popen([*ENTER, "-m", "tests.lab.trial", *names], cwd=ROOT, text=True, stdout=PIPE, stderr=PIPE)
        for names in ([*SCENES][first::LABS] for first in range(LABS))
    ]
    told = [lab.communicate(timeout=600) for lab in labs]
    assert not any(lab.returncode for lab in labs), "\n".join(errors for _, errors in told)
    played = {scene["name"]: scene for output, _ in told for scene in map(json.loads, output.splitlines())}
    print(f"\n{'scene':50}{'good refused':>13}{'spam refused':>14}{'p50 ms':>8}{'p99 ms':>8}{'slowest list, p99 ms':>28}"
          f"{'queries':>9}{'accounted':>10}")
    for name, scene in played.items():
        slowest = f"{scene['slowest']} {scene['slowest_p99']:.0f}"
        print(f"{name:50}{len(scene['refused_good']):>10}/10{scene['refused_spam']:>10}/{scene['listed_spam']}{scene['p50']:>8.0f}"
              f"{scene['p99']:>8.0f}{slowest:>28}{sum(scene['sent'].values()):>9}{sum(scene['accounted'].values()):>10}")
    return played


@pytest.mark.parametrize("name", SCENES)
def test_no_good_client_is_refused(scenes: dict[str, dict[str, Any]], name: str) -> None:
    assert scenes[name]["refused_good"] == []
    assert scenes[name]["let_through"] == 10


@pytest.mark.parametrize("name", SCENES)
def test_every_packet_is_accounted_for(scenes: dict[str, dict[str, Any]], name: str) -> None:
    assert scenes[name]["sent"] == scenes[name]["accounted"]


@pytest.mark.parametrize("name", [name for name in BEFORE if "zen" not in name and name != DEFERRED])
def test_spam_is_refused_whatever_ails_another_list(scenes: dict[str, dict[str, Any]], name: str) -> None:
    assert scenes[name]["refused_spam"] == scenes[name]["listed_spam"]


def test_an_allow_list_out_of_reach_softens_refusals_and_one_over_quota_does_not(scenes: dict[str, dict[str, Any]]) -> None:
    assert scenes[DEFERRED]["refused_spam"] == 0
    assert scenes["over quota (dnswl 127.0.10.3)"]["refused_spam"] == scenes[ALL]["refused_spam"]


def test_a_slow_list_makes_nobody_wait_whom_the_others_have_decided_on(scenes: dict[str, dict[str, Any]]) -> None:
    slow = scenes[SLOW]
    assert slow["slowest_p99"] > 800
    assert slow["sooner"] > 0.9 * slow["listed_spam"]


@pytest.mark.parametrize(("name", "of", "state"), [
    ("error codes (zen 127.255.255.254)", "spamhaus-zen", "suspended"),
    ("dead (spamcop)", "spamcop", "unreachable"),
    ("silent (spamcop)", "spamcop", "unreachable"),
    ("refusing (mailspike)", "mailspike", "unreachable"),
    ("wildcarded from the start (zen)", "spamhaus-zen", "suspended"),
    ("wildcarded in the middle (zen)", "spamhaus-zen", "suspended"),
    ("wildcarded in the middle (spamcop)", "spamcop", "suspended"),
    ("parked (psbl 192.0.2.1)", "psbl", "suspended"),
    ("over quota (dnswl 127.0.10.3)", "dnswl", "suspended"),
])  # fmt: skip
def test_what_ails_a_list_is_noticed(scenes: dict[str, dict[str, Any]], name: str, of: str, state: str) -> None:
    assert scenes[name]["states"] == {of: state}


def test_a_healthy_list_is_left_in_peace(scenes: dict[str, dict[str, Any]]) -> None:
    assert scenes[ALL]["states"] == scenes["lossy (zen, a fifth)"]["states"] == {}


# -- quota across restarts, own addresses, keys


def get(path: str) -> tuple[int, str]:
    """Status and text of a page of the running daemon."""
    try:
        with urllib.request.urlopen(HTTP + path, timeout=15) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def state_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(get(f"/v1/lists/{name}")[1])
    return found


def listed(lab: Lab, name: str) -> dns.message.Message:
    return dns.query.udp(dns.message.make_query(name, "A"), "127.0.0.1", timeout=5)


def test_what_was_spent_of_a_quota_survives_restart_and_crash(lab: Lab) -> None:
    with lab.running(daemon := resolverd(lab.mail, CONFIG + '[lists.spamhaus-zen]\nquota = "100/1d"\n', name="books")):
        for number in range(10):
            listed(lab, f"{number}.3.2.81.bl.rbl.internal")
        time.sleep(2)
        left = state_of("spamhaus-zen")["quota_left"]
        assert left == 100 - state_of("spamhaus-zen")["asked"]
        assert daemon.stop() == 0
        daemon.start()
        time.sleep(0.5)
        again = state_of("spamhaus-zen")
        assert again["quota_left"] == left - again["asked"]
        time.sleep(2.5)
        left = state_of("spamhaus-zen")["quota_left"]
        daemon.kill()
        daemon.start()
        time.sleep(0.5)
        again = state_of("spamhaus-zen")
        assert again["quota_left"] == left - again["asked"]


def test_an_own_address_on_a_list_is_told(lab: Lab) -> None:
    config = CONFIG + '[watch]\naddresses = ["192.0.2.66", "203.0.113.25"]\n'
    with lab.running(daemon := resolverd(lab.mail, config, name="watch")):
        for _ in range(50):
            if state_of("spamhaus-zen")["watched"]:
                break
            time.sleep(0.1)
        assert state_of("spamhaus-zen")["watched"] == ["192.0.2.66"]
        assert 'resolverd_watch_listed{list="spamhaus-zen"} 1.0' in get("/metrics")[1]
        for _ in range(50):
            if "our own address 192.0.2.66 is listed by zen.spamhaus.org" in daemon.log_tail():
                break
            time.sleep(0.1)
        assert "our own address 192.0.2.66 is listed by zen.spamhaus.org" in daemon.log_tail()
        shown = subprocess.run([sys.executable, "-m", "resolverd", "lists", "-c", str(LAB / "watch" / "config.toml")],
                               cwd=ROOT, text=True, capture_output=True)
        assert "lists our own 192.0.2.66" in shown.stdout


SENTINEL = "sentinel0key0that0nobody0may0see"
SMALL = "rbl.small-list.net"


def keyed(source: str) -> str:
    """A configuration with a key for the admin's own list, at debug level."""
    return CONFIG + f"""
[lists.secret]
zone = "{SMALL}"
key = {source}
[log]
level = "debug"
"""


COMMANDS = (
    "lists", "lists --json", "lookup 192.0.2.66", "lookup 192.0.2.66 --json", "check 192.0.2.66", "check 192.0.2.66 --json",
    "config show", "config check", "config postfix", "cache stats", f"cache show {SMALL}", f"cache trace 66.2.0.192.{SMALL}",
    f"cache trace 66.2.0.192.{SENTINEL}.{SMALL}", f"cache show 66.2.0.192.{SENTINEL}.{SMALL} A",
    f"cache flush {SENTINEL}.{SMALL}",
)  # fmt: skip


def commands(daemon: Daemon, config: Path) -> Iterator[str]:
    """What every command has to say; who types a key sees what was typed, but nothing more."""
    for words in map(str.split, COMMANDS):
        done = CliRunner().invoke(command, [*words, "-c", str(config)], env=daemon.environment)
        said = done.stdout + done.stderr + "".join(traceback.format_exception(done.exception))
        for typed in (word for word in words if SENTINEL in word):
            said = said.replace(typed, "")
        yield said


@pytest.mark.parametrize("source", ["file", "credential"])
def test_a_key_is_seen_nowhere(lab: Lab, source: str) -> None:
    """A run at debug level in which the keyed list fails in every way; then everything is searched for the key."""
    folder = LAB / "keys"
    folder.mkdir(exist_ok=True)
    (folder / "secret").write_text(SENTINEL + "\n")
    named = f'{{file = "{folder}/secret"}}' if source == "file" else '{credential = "secret"}'
    small = lab.lists[SMALL]
    seen: list[str] = []
    daemon = resolverd(lab.mail, keyed(named), name=f"sentinel {source}")
    daemon.environment["CREDENTIALS_DIRECTORY"] = str(folder)
    config = LAB / f"sentinel-{source}" / "config.toml"
    faults = [
        lambda: None,
        lambda: small.answer_all("127.0.0.2", f"ask with {SENTINEL}"),
        lambda: small.answer_all("127.255.255.254", f"bad key {SENTINEL.upper()}"),
        lambda: small.answer_all("192.0.2.1"),
        small.refuse,
        small.stop,
    ]
    try:
        with lab.running(daemon), lab.tap() as tap:
            token = (LAB / f"sentinel-{source}" / "state" / "token").read_text().strip()
            for number, fault in enumerate(faults):
                fault()
                _post("/v1/lists/secret/enable", token)
                for client in range(4):
                    address = f"81.{number}.3.{client}"
                    reverse = ".".join(reversed(address.split(".")))
                    for name in (f"{reverse}.bl.rbl.internal", f"{reverse}.score.rbl.internal", "_status.rbl.internal"):
                        for rdtype in ("A", "TXT"):
                            query = dns.message.make_query(name, rdtype, use_edns=0)
                            seen.append(dns.query.udp(query, "127.0.0.1", timeout=5).to_text())
                    seen.append(get(f"/v1/verdict?client_address={address}&helo_name=x.example.com&sender=a@example.com")[1])
                    seen.append(get(f"/v1/lookup/{address}")[1])
                    # The client's own question for a guarded name: its answer and reasons, but not the question again.
                    query = dns.message.make_query(f"{reverse}.{SENTINEL}.{SMALL}", "A", use_edns=0)
                    reply = dns.query.udp(query, "127.0.0.1", timeout=5)
                    seen += [option.to_text() for option in reply.options]
                seen += [get(path)[1] for path in ("/v1/lists", "/v1/lists/secret", "/metrics", "/v1/cache", "/", "/readyz")]
                seen.append(_post("/v1/lists/secret/probe", token))
                seen += commands(daemon, config)
                small.heal()
            asked = [query for query in tap.queries() if SENTINEL in query.name]
            proc = Path(f"/proc/{daemon.pid}")
            seen += [(proc / name).read_bytes().decode("latin-1") for name in ("cmdline", "environ", "comm")]
        assert {query.server for query in asked} <= {"45.99.0.1", "2a00:45:99::1", "45.13.0.1", "45.13.0.2", "2a00:45:13::1",
                                                      "2a00:45:13::2"}, "its operator's servers, and nobody else's"
        assert asked, "the key was used"
    finally:
        small.heal()
    seen.append(daemon.log_path.read_text(errors="replace"))
    for file in (LAB / f"sentinel-{source}").rglob("*"):
        if file.is_file():
            seen.append(file.read_bytes().decode("latin-1"))
    found = [text for text in seen if SENTINEL in text.lower()]
    assert not found, found[0][max(0, found[0].lower().index(SENTINEL) - 300):][:700]


def _post(path: str, token: str) -> str:
    request = urllib.request.Request(HTTP + path, method="POST", data=b"", headers={
        "Authorization": f"Bearer {token}", "Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=15) as reply:
            return str(reply.read().decode())
    except urllib.error.HTTPError as error:
        return str(error.read().decode())

