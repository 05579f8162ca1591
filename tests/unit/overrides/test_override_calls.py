"""Overrides as people and programs meet them: commands, HTTP, and a daemon that is ended and started again."""

import json
import shlex
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import dns.rcode
import pytest
from click.testing import CliRunner, Result
from served import LISTED, TOKEN, Served, bound, serving

from resolverd.cli.root import resolverd
from tests.running import REQUEST, Running

CONTRIB = Path(__file__).parents[3] / "contrib"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(resolverd, list(arguments), prog_name="resolverd")


class Calls(NamedTuple):
    """Calls of a daemon."""

    daemon: Served

    @property
    def config(self) -> str:
        return self.daemon.config

    def call(self, method: str, path: str, body: object = None, *, token: str = TOKEN) -> tuple[int, Any]:
        octets = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= {"Content-Type": "application/json"} if octets else {}
        url = f"http://127.0.0.1:{self.daemon.port}{path}"
        request = urllib.request.Request(url, method=method, data=octets, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Calls]:
    with serving(tmp_path_factory.mktemp("served")) as daemon:
        yield Calls(daemon)


@pytest.fixture
def served(server: Calls) -> Iterator[Calls]:
    """The daemon, without any override."""
    yield server
    for each in shown(server):
        assert server.call("DELETE", f"/v1/overrides/{quote(each['subject'], safe='')}")[0] == 200


def shown(served: Calls) -> list[dict[str, Any]]:
    document = json.loads(run("overrides", "--json", "-c", served.config).stdout)
    found: list[dict[str, Any]] = document["overrides"]
    return found


# -- commands


def test_deny_as_fail2ban_calls_it(served: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "anna")
    for _ in range(2):
        result = run("deny", "192.0.2.7", "--for", "1h", "--reason", "fail2ban", "-c", served.config)
        assert result.exit_code == 0
        assert result.stdout.startswith("192.0.2.7 is denied, until ")
    (override,) = shown(served)
    assert (override["action"], override["subject"], override["scope"], override["to"]) == ("deny", "192.0.2.7", "all", None)
    assert (override["owner"], override["reason"], override["until"] - override["since"]) == ("anna", "fail2ban", 3600)


def test_fail2ban_takes_back_only_what_is_its_own(served: Calls) -> None:
    words = (CONTRIB / "fail2ban" / "action.d" / "resolverd.conf").read_text().splitlines()
    ban = next(line.partition("=")[2] for line in words if line.startswith("actionban"))
    unban = next(line.partition("=")[2] for line in words if line.startswith("actionunban"))

    def called(line: str) -> Result:
        said = line.replace("<ip>", "192.0.2.7").replace("<bantime>", "3600")
        said = said.replace("<name>", "postfix").replace("<failures>", "5")
        return run(*shlex.split(said)[1:], "-c", served.config)

    assert called(ban).exit_code == called(ban).exit_code == 0
    assert [(each["reason"], each["temporary"]) for each in shown(served)] == [("fail2ban postfix, 5 failures", True)]
    assert called(unban).stdout == "1 overrides forgotten\n"
    assert run("deny", "192.0.2.7", "--owner", "anna", "-c", served.config).exit_code == 0
    assert called(ban).exit_code == called(unban).exit_code == 0
    assert [each["owner"] for each in shown(served)] == ["anna"]


def test_a_ban_leaves_the_admins_denial_alone_and_ends_without_it(served: Calls) -> None:
    for arguments in (("--owner", "anna", "--for", "2h"), ("--temporary", "--owner", "fail2ban", "--for", "1h")):
        assert run("deny", "192.0.2.7", *arguments, "-c", served.config).exit_code == 0
    assert [(each["owner"], each["temporary"]) for each in shown(served)] == [("anna", False), ("fail2ban", True)]
    table = run("overrides", "-c", served.config).stdout
    assert [line.split("\t")[0] for line in table.splitlines()[1:]] == ["deny", "deny (temporary)"]
    done = run("overrides", "forget", "192.0.2.7", "--of", "anna", "-c", served.config)
    assert done.stdout == "1 overrides forgotten\n"
    assert [each["owner"] for each in shown(served)] == ["fail2ban"]


@pytest.mark.parametrize("lasting", ["-1", "-1s", "-1.0s"])
def test_a_ban_without_end_as_fail2ban_says_it(served: Calls, lasting: str) -> None:
    done = run("deny", "192.0.2.7", "--temporary", "--for", lasting, "-c", served.config)
    assert done.stdout == "192.0.2.7 is denied, put off (450) for good\n"
    assert shown(served)[0]["until"] is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("allow", "192.0.2.0/24"), "192.0.2.0/24 is allowed, for good"),
        (("allow", "Example.com", "--scope", "lists"), "example.com is allowed, as far as lists goes, for good"),
        (("allow", "b@example.com", "--to", "a@example.org"), "b@example.com is allowed to write to a@example.org, for good"),
        (("deny", "2001:db8::/32"), "2001:db8::/32 is denied, for good"),
    ],
)
def test_what_is_said_is_repeated_in_words(served: Calls, arguments: tuple[str, ...], says: str) -> None:
    assert run(*arguments, "-c", served.config).stdout == says + "\n"
    assert len(shown(served)) == 1


def test_overrides_are_listed_and_taken_back(served: Calls) -> None:
    for arguments in (("allow", "192.0.2.7"), ("deny", "192.0.2.7", "--for", "2h"), ("allow", "example.com", "--scope", "spf")):
        assert run(*arguments, "--owner", "eve", "-c", served.config).exit_code == 0
    lines = [line.split("\t") for line in run("overrides", "-c", served.config).stdout.splitlines()]
    assert lines[0] == ["action", "subject", "to", "scope", "owner", "since", "until", "hits", "last", "reason", "id"]
    assert [line[:5] for line in lines[1:]] == [
        ["allow", "example.com", "", "spf", "eve"],
        ["allow (overruled)", "192.0.2.7", "", "all", "eve"],
        ["deny", "192.0.2.7", "", "all", "eve"],
    ]
    forgotten = run("overrides", "forget", "192.0.2.7", "--action", "deny", "-c", served.config)
    assert forgotten.stdout == "1 overrides forgotten\n"
    assert json.loads(run("overrides", "forget", "192.0.2.7", "--json", "-c", served.config).stdout) == {"forgotten": 1}
    assert [each["subject"] for each in shown(served)] == ["example.com"]


def test_the_client_of_a_verdict_is_meant(served: Calls) -> None:
    reference = json.loads(run("check", LISTED, "--json", "-c", served.config).stdout)["id"]
    assert run("allow", "--from-id", reference, "--for", "30d", "-c", served.config).exit_code == 0
    (override,) = shown(served)
    assert (override["subject"], override["from_id"]) == (LISTED, reference)
    unknown = run("allow", "--from-id", "NOBODY", "-c", served.config)
    assert unknown.exit_code == 1
    assert "say who is meant" in unknown.stderr
    assert run("allow", "192.0.2.9", "--from-id", "NOBODY", "-c", served.config).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("deny",), 2, "say who is meant"),
        (("allow", "192.0.2.7", "--temporary"), 2, "--temporary"),
        (("deny", "192.0.2.7", "--for", "0"), 2, "no duration"),
        (("deny", "192.0.2.7/24"), 2, "write 192.0.2.0/24"),
        (("allow", "0.0.0.0/0"), 2, "everybody"),
        (("allow", "192.0.2.7", "--scope", "most"), 2, "most"),
        (("deny", "192.0.2.7", "--for", "3"), 2, "write it as"),
        (("deny", "192.0.2.7", "--for", "11000d"), 2, "ten years"),
        (("deny", "192.0.2.7", "--scope", "spf"), 2, "no scope"),
        (("deny", "192.0.2.7", "--to", "no body"), 2, "recipient"),
        (("deny", "192.0.2.7", "--reason", "x" * 201), 2, "200"),
        (("deny", "192.0.2.7", "--reason", "a\nb"), 2, "printable"),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(
    served: Calls, arguments: tuple[str, ...], status: int, says: str
) -> None:
    result = run(*arguments, "-c", served.config)
    assert result.exit_code == status
    assert says in result.stderr
    assert shown(served) == []


def test_without_a_daemon_there_is_nobody_to_tell(tmp_path: Path) -> None:
    with bound() as sock:
        (tmp_path / "config.toml").write_text(f'[http]\nlisten = "127.0.0.1:{sock.getsockname()[1]}"\n')
    for arguments in (("deny", "192.0.2.7"), ("overrides",), ("overrides", "forget", "192.0.2.7")):
        result = run(*arguments, "-c", str(tmp_path / "config.toml"))
        assert result.exit_code == 1
        assert "resolverd serve" in result.stderr


# -- HTTP


def test_query_and_body_say_the_same(served: Calls) -> None:
    status, first = served.call("PUT", "/v1/overrides/192.0.2.0%2F24?action=deny&for=1h&reason=a+b&owner=x")
    assert status == 200
    body = {"subject": "192.0.2.0/24", "action": "deny", "for": "1h", "reason": "a b", "owner": "x", "to": None}
    status, second = served.call("PUT", "/v1/overrides", body)
    assert (status, {**second, "since": 0, "until": 0}) == (200, {**first, "since": 0, "until": 0})
    assert first == {
        "action": "deny", "subject": "192.0.2.0/24", "kind": "network", "scope": "all", "to": None, "owner": "x",
        "temporary": False, "reason": "a b", "from_id": None,
        "since": first["since"], "until": first["since"] + 3600, "hits": 0, "last": None,
    }  # fmt: skip
    assert served.call("GET", "/v1/overrides/192.0.2.0%2F24")[1]["overrides"][0]["overruled"] is False
    assert served.call("GET", "/v1/overrides/192.0.2.7")[1] == {"overrides": []}
    assert served.call("DELETE", "/v1/overrides/192.0.2.0%2F24")[1] == {"forgotten": 1}
    assert served.call("DELETE", "/v1/overrides/192.0.2.0%2F24")[1] == {"forgotten": 0}


def test_temporary_in_query_and_body(served: Calls) -> None:
    status, first = served.call("PUT", "/v1/overrides/192.0.2.7?action=deny&temporary=true&for=1h")
    assert (status, first["temporary"]) == (200, True)
    for said, expected in ((True, True), ("true", True), (False, False)):
        status, made = served.call("PUT", "/v1/overrides", {"subject": "192.0.2.7", "action": "deny", "temporary": said})
        assert (status, made["temporary"]) == (200, expected)
    for query in ("action=deny&temporary=yes", "action=allow&temporary=true"):
        assert served.call("PUT", f"/v1/overrides/192.0.2.7?{query}")[0] == 400


def test_who_means_a_whole_suffix_says_so(served: Calls) -> None:
    for subject in ("com", "*.co.uk", "0.0.0.0/1"):
        for action in ("allow", "deny"):
            result = run(action, subject, "-c", served.config)
            assert result.exit_code == 2
            assert "--force" in result.stderr
    assert served.call("GET", "/v1/overrides")[1] == {"overrides": []}
    assert run("deny", "co.uk", "--force", "-c", served.config).output == "co.uk is denied, for good\n"
    assert run("allow", "*.example.com", "-c", served.config).output == "example.com is allowed, for good\n"
    assert run("allow", "192.0.2.*", "-c", served.config).output == "192.0.2.0/24 is allowed, for good\n"
    status, problem = served.call("PUT", "/v1/overrides/com?action=allow&force=maybe")
    assert (status, "force: expected true or false" in problem["detail"]) == (400, True)
    assert served.call("PUT", "/v1/overrides", {"subject": "com", "action": "allow", "force": True})[0] == 200


def test_who_says_nothing_of_himself_is_told_by_his_address(served: Calls) -> None:
    assert served.call("PUT", "/v1/overrides/192.0.2.7?action=allow")[1]["owner"] == "127.0.0.1 over HTTP"


def test_some_of_a_subjects_are_taken_back(served: Calls) -> None:
    for query in ("action=allow&scope=spf", "action=allow&scope=lists&to=a@example.org", "action=deny"):
        assert served.call("PUT", f"/v1/overrides/192.0.2.7?{query}")[0] == 200
    assert served.call("DELETE", "/v1/overrides/192.0.2.7?of=nobody")[1] == {"forgotten": 0}
    assert served.call("DELETE", "/v1/overrides/192.0.2.7?to=a@example.org")[1] == {"forgotten": 1}
    assert served.call("DELETE", "/v1/overrides/192.0.2.7?to=")[1] == {"forgotten": 2}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/v1/overrides/192.0.2.7", None, 400),
        ("PUT", "/v1/overrides/192.0.2.7?action=deny&color=red", None, 400),
        ("PUT", "/v1/overrides/192.0.2.7?action=deny&action=allow", None, 400),
        ("PUT", "/v1/overrides/192.0.2.7?action=deny", {"action": "deny"}, 400),
        ("PUT", "/v1/overrides/192.0.2.7", {"action": 1}, 400),
        ("PUT", "/v1/overrides/192.0.2.7", ["deny"], 400),
        ("PUT", "/v1/overrides/192.0.2.7", {"action": "deny", "for": "soon"}, 400),
        ("PUT", "/v1/overrides/nobody%20at%20all?action=deny", None, 400),
        ("PUT", "/v1/overrides?action=deny", None, 400),
        ("PUT", "/v1/overrides?action=deny&from_id=NOBODY", None, 404),
        ("DELETE", "/v1/overrides", None, 405),
        ("DELETE", "/v1/overrides/192.0.2.7?for=1h", None, 400),
        ("DELETE", "/v1/overrides/192.0.2.7", {"x": "y"}, 400),
        ("GET", "/v1/overrides/..", None, 400),
        ("GET", "/v1/overrides?subject=192.0.2.7", None, 400),
    ],
)
def test_bad_calls_are_told(served: Calls, method: str, path: str, body: object, status: int) -> None:
    assert served.call(method, path, body)[0] == status
    assert shown(served) == []


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/v1/overrides/192.0.2.7?action=deny"), ("DELETE", "/v1/overrides/a.b"), ("GET", "/v1/overrides")],
)
def test_looking_and_changing_need_the_token(served: Calls, method: str, path: str) -> None:
    assert served.call(method, path, token="")[0] == 401
    assert shown(served) == []


# -- a daemon


def test_overrides_hold_at_once_and_after_the_next_start(tmp_path: Path) -> None:
    first = Running(tmp_path)
    url = f"http://127.0.0.1:{first.ports['HTTP']}/v1/overrides/193.0.0.1?action=deny&for=1h"
    request = urllib.request.Request(url, method="PUT", headers={"Authorization": f"Bearer {first.token}"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        assert reply.status == 200
    _is_denied(first)
    first.waits_for("audit=deny, subject=193.0.0.1")
    assert first.end() == 0
    again = Running(tmp_path)
    try:
        _is_denied(again)
    finally:
        again.end()


def _is_denied(running: Running) -> None:
    assert b"action=554 5.7.1 Client host rejected (Access denied); ref " in running.policy(REQUEST)
    reply = running.dns("1.0.0.193.bl.rbl.internal.")
    assert [rdata.to_text() for rrset in reply.answer for rdata in rrset] == ["127.0.0.2"]
    assert running.dns("1.0.0.193.wl.rbl.internal.").rcode() == dns.rcode.NXDOMAIN
    status, found = running.http("/v1/overrides", running.token)
    assert (status, found["overrides"][0]["hits"] >= 2) == (200, True)
