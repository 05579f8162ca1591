"""What every command has in common, over all of them: statuses, ``-c`` and ``--json``, and what is mistyped."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
from commandline import commands, run
from served import Served

from resolverd.mail.findings import Action
from resolverd.overrides.rules import ACTIONS
from resolverd.wire.rrset import Security

EVERY = dict(commands())
LEAVES = {path: command for path, command in EVERY.items() if not isinstance(command, click.Group)}

# What a command needs besides its options, so that it would do something.
GIVEN = {
    "resolverd check": ["192.0.2.1"],
    "resolverd lookup": ["192.0.2.1"],
    "resolverd allow": ["192.0.2.1"],
    "resolverd deny": ["192.0.2.1"],
    "resolverd overrides forget": ["192.0.2.1"],
    "resolverd lists enable": ["psbl"],
    "resolverd lists disable": ["psbl"],
    "resolverd lists probe": ["psbl"],
    "resolverd greylist allow": ["192.0.2.1"],
    "resolverd greylist forget": ["192.0.2.1"],
    "resolverd cache show": ["example.org"],
    "resolverd cache trace": ["example.org"],
    "resolverd cache flush": ["example.org"],
    "resolverd cache nta add": ["example.org"],
    "resolverd cache nta remove": ["example.org"],
    "resolverd import postgrey": ["/dev/null"],
    "resolverd import whitelist": ["/dev/null"],
    "resolverd report": ["/dev/null"],
    "resolverd store move": ["disk:/nowhere/of", "disk:/nowhere/to"],
}


def words(path: str) -> list[str]:
    """The command and what it needs."""
    return [*path.split()[1:], *GIVEN.get(path, [])]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> str:
    config = tmp_path_factory.mktemp("faulty") / "config.toml"
    config.write_text('[dns]\nlisen = []\n[greylist]\ndelay = "soon"\n')
    return str(config)


@pytest.mark.parametrize("path", LEAVES)
def test_every_command_takes_c_and_json(path: str):
    options = {name for parameter in LEAVES[path].params for name in parameter.opts}
    assert {"-c", "--config", "--json"} <= options


@pytest.mark.parametrize("path", [path for path in LEAVES if path != "resolverd config init"])
def test_a_faulty_configuration_is_78_everywhere_and_c_and_json_stand_anywhere(path: str, faulty: str):
    own, above = words(path), ["-c", faulty, "--json"]
    group = len(path.split()) - 2
    for line in ([*own, *above], [*above, *own], [*own[:group], *above, *own[group:]]):
        result = run(*line)
        assert result.exit_code == 78, line
        document = json.loads(result.stdout)
        assert document.keys() == {"error", "status", "faults"}
        assert document["status"] == 78
        assert [fault["path"] for fault in document["faults"]] == ["dns.lisen", "greylist.delay"]
        assert result.stderr == "".join(f"resolverd: {line}\n" for line in document["error"].splitlines())


@pytest.mark.parametrize("path", ["resolverd", *EVERY])
def test_what_no_command_takes_is_a_usage_error(path: str):
    """Also as an object, if one is wanted; what is wrong with the words is told before anything is looked at."""
    for wrong in (["--nosuch"], ["--jsn"], ["a", "b", "c", "d"]):
        for as_object in ([], ["--json"]):
            result = run(*words(path), *wrong, *as_object)
            assert result.exit_code == 2, wrong
            assert result.stderr
            if as_object:
                assert json.loads(result.stdout)["status"] == 2
            else:
                assert result.stdout == ""


NEEDS = [path for path, command in LEAVES.items() if any(each.required for each in command.params)]


@pytest.mark.parametrize("path", ["resolverd", *EVERY])
def test_help_fits_80_columns_and_is_not_cut(path: str):
    lines = run(*path.split()[1:], "--help").stdout.splitlines()
    assert [line for line in lines if len(line) > 80 or "..." in line.replace("[ARGS]...", "").replace("]...", "")] == []


def test_every_state_word_is_explained_where_it_is_shown():
    for path, known in (
        ("lists", ("ok", "suspended", "unreachable", "spent", "disabled")),
        ("lookup", ("listed", "allowed", "unknown", "clear", "skipped")),
        ("check", tuple(Action)),
        ("overrides", (*ACTIONS, "temporary", "overruled")),
        ("greylist show", ("waiting", "passed", "counting", "allowed")),
        ("cache show", tuple(each.name.lower() for each in Security)),
    ):
        explained = re.findall("^  ([a-z]+)  +", run(*path.split(), "--help").stdout, re.MULTILINE)
        assert set(known) <= set(explained), path


BY_ITSELF = ["resolverd allow", "resolverd deny", "resolverd greylist forget", "resolverd cache flush"]
"""Commands that need one of several things."""


@pytest.mark.parametrize("path", [*NEEDS, *BY_ITSELF])
def test_what_is_missing_is_a_usage_error(path: str):
    assert run(*path.split()[1:]).exit_code == 2


CHOICES = [
    (path, each.opts[0], choice)
    for path, command in LEAVES.items()
    for each in command.params
    if isinstance(each.type, click.Choice)
    for choice in each.type.choices
]


@pytest.mark.parametrize(("path", "option", "choice"), CHOICES)
def test_a_mistyped_choice_is_a_usage_error_that_names_the_nearest(path: str, option: str, choice: str):
    result = run(*words(path), option, choice[:-1] + "x" + choice[-1])
    assert result.exit_code == 2
    assert f"; did you mean '{choice}'?" in result.stderr


@pytest.mark.parametrize("path", EVERY)
def test_a_mistyped_command_is_a_usage_error_that_names_the_nearest(path: str):
    *above, name = path.split()[1:]
    result = run(*above, name[:-1] + "x" + name[-1])
    assert result.exit_code == 2
    assert f"; did you mean '{name}'?" in result.stderr


IMPOSSIBLE: list[tuple[str, Sequence[str]]] = [
    ("neither an IP address nor a domain name", ["lookup", "a b"]),
    ("neither an IP address nor a domain name", ["lookup", "192.0.2.256"]),
    ("is no IP address", ["check", "mail.example.org"]),
    ("printable", ["check", "192.0.2.1", "--helo", "a\nb"]),
    ("did you mean 'spamhaus-zen'?", ["lists", "enable", "spamhaus-zem"]),
    ("no list 'x' is known", ["lists", "probe", "x"]),
    ("is no domain name", ["cache", "show", "a..b"]),
    ("'AAAAA' is no RR type; did you mean 'AAAA'?", ["cache", "show", "example.org", "AAAAA"]),
    ("is no domain name", ["cache", "flush", "a..b"]),
    ("is no domain name", ["cache", "trace", "a..b"]),
    ("is no RR type", ["cache", "trace", "example.org", "NOSUCH"]),
    ("", ["cache", "flush", "example.org", "--all"]),
    ("is no domain name", ["cache", "nta", "add", "a..b"]),
    ("for: ", ["cache", "nta", "add", "example.org", "--for", "soon"]),
    ("is no domain name", ["cache", "nta", "remove", "a..b"]),
    ("is no IP address", ["greylist", "show", "nowhere"]),
    ("", ["greylist", "show", "--limit", "0"]),
    ("together", ["greylist", "allow", "192.0.2.1", "--sender", "a@example.org"]),
    ("", ["allow", "a b"]),
    ("for: ", ["allow", "192.0.2.1", "--for", "soon"]),
    ("", ["deny", "0.0.0.0/0"]),
    ("", ["overrides", "forget", "a b"]),
    ("No such file", ["store", "load", "/nowhere/dump"]),
    ("--postgrey", ["store", "dump", "--postgrey", "--json"]),
    ("does not exist", ["import", "postgrey", "/nowhere"]),
    ("", ["import", "postgrey", "/dev/null", "--delay", "soon"]),
    ("does not exist", ["import", "whitelist", "/nowhere"]),
]


def test_what_cannot_be_is_a_usage_error(daemon: Served):
    faults = []
    for text, line in IMPOSSIBLE:
        result = run(*line, "-c", daemon.config)
        if result.exit_code != 2 or text not in result.stderr or "Traceback" in result.stderr:
            faults.append((line, result.exit_code, result.stderr))
    assert faults == []


def test_a_list_that_nobody_knows_is_one_without_a_daemon_too(nobody: str):
    result = run("lists", "enable", "spamhaus-zem", "-c", nobody)
    assert (result.exit_code, "; did you mean 'spamhaus-zen'?" in result.stderr) == (2, True)
    assert run("lists", "enable", "spamhaus-zen", "-c", nobody).exit_code == 1


ASKS_THE_INTERNET = {"resolverd check", "resolverd lookup", "resolverd cache trace"}


@pytest.mark.parametrize("path", sorted({*LEAVES} - ASKS_THE_INTERNET - {"resolverd serve"}))
def test_with_json_every_command_prints_one_object_whatever_comes_of_it(
    path: str, nobody: str, tmp_path: Path
):
    """Without a daemon: most of them fail."""
    given = [str(tmp_path / "new.toml")] if path == "resolverd config init" else []
    result = run(*words(path), *given, "--json", "-c", nobody)
    assert isinstance(json.loads(result.stdout), dict)
    assert result.exit_code in (0, 1)
