"""What the documentation shows is so: configurations are read, commands are run, lines of main.cf are Postfix's."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from resolverd import config
from resolverd.cli.root import resolverd
from resolverd.config import postfix
from resolverd.ops.doctor import Machine, diagnose, main_cf, resolv_conf, restrictions
from tests.running import Running

from .pages import DOCS, ZONES, Block, Command, blocks, commands, every, prose, text_of

TUTORIAL = DOCS / "from-the-tutorial.md"
LIST = "bl.our-company.org"
OURS = commands("resolverd")
NOT_RUN = (("serve",), ("import",), ("config", "init"), ("store", "load"), ("store", "move"), ("report",))
"""Commands that take a machine, or files, which are not there."""
SMTPD = Path("/usr/lib/postfix/sbin/smtpd")
MASTER = "smtp inet n - y - - smtpd\ncleanup unix n - y - 0 cleanup\n"
MAIN = "compatibility_level = 3.6\nmyhostname = mx.example.com\nmynetworks = 127.0.0.0/8\n"
RESOLV = "nameserver 127.0.0.1\noptions edns0 trust-ad\n"


def configuration(block: Block, base: Path = Path("/etc/resolverd")) -> config.Settings:
    return config.parse(block.text, base)


@pytest.mark.parametrize("block", every("toml"), ids=str)
def test_configurations_are_read(block: Block) -> None:
    configuration(block)


def path_of(words: tuple[str, ...]) -> tuple[str, list[str]]:
    """The command and its subcommand, and the words after it; every word is parsed as it will be, nothing is run.

    Raises click.UsageError.
    """
    command: click.Command = resolverd
    ctx = command.make_context("resolverd", list(words))
    names = []
    while isinstance(command, click.Group) and (rest := [*ctx._protected_args, *ctx.args]):
        name, below, args = command.resolve_command(ctx, rest)
        assert name is not None
        assert below is not None
        names.append(name)
        command, ctx = below, below.make_context(name, args, parent=ctx)
    return " ".join(names), ctx.args


STANDS_FOR = {"IP": "192.0.2.1", "TYPE": "MX"}
"""Words of forms in prose, and one that each stands for."""


@pytest.mark.parametrize("command", OURS, ids=str)
def test_commands_and_their_options_are_there(command: Command) -> None:
    words = [STANDS_FOR.get(word, word) for word in command.words[1:] if word not in ("…", "[--quiet]")]
    if "COMMAND" in words or any("|" in word for word in words):
        pytest.skip("a form, not a command")
    try:
        path_of(tuple(words))
    except click.MissingParameter:
        assert command.block.info == "in prose"  # which names a command, without saying of whom
    except click.BadParameter as error:
        if not re.search(r"No such file|does not exist", error.format_message()):
            raise


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("documented")
    (folder / "zones").mkdir()
    (folder / "zones" / f"{LIST}.ip4set").write_text(one(ZONES, "ip4set").text)
    running = Running(folder)
    yield running
    assert running.end() == 0


def test_the_list_of_ones_own_lists_what_it_says(daemon: Running) -> None:
    def said(reverse: str, rtype: str = "A") -> list[str]:
        return [str(rdata) for rrset in daemon.dns(f"{reverse}.{LIST}", rtype).answer for rdata in rrset]

    assert said("2.0.0.127") == said("7.100.51.198") == ["127.0.0.2"]
    assert said("25.100.51.198") == []
    assert said("7.113.0.203") == ["127.0.0.3"]
    assert said("7.100.51.198", "TXT") == ['"Listed by us, see https://our-company.org/bl?198.51.100.7"']
    assert config.parse(one(ZONES, "toml").text, Path("/")).lists["ours"].zone == LIST


def test_commands_do_what_they_are_shown_for(daemon: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that changes nothing but a daemon of its own, in the order of the pages; of a refusal there is none to refer to."""
    monkeypatch.chdir(daemon.folder)
    said = {}
    for command in dict.fromkeys(each.words[1:] for each in OURS if each.block.info == "sh"):
        if any(command[: len(each)] == each for each in NOT_RUN) or "--from-id" in command:
            continue
        name, _ = path_of(command)
        result = CliRunner().invoke(resolverd, [*command, "-c", str(daemon.folder / "config.toml")], prog_name="resolverd")
        allowed = {"check": (0, 10, 20), "doctor": (0, 1)}.get(name, (0,))
        if result.exit_code not in allowed:
            said[" ".join(command)] = result.output
    assert said == {}
    assert len({each.words for each in OURS}) > 30


def _main_cf(block: Block) -> str:
    return MAIN + block.text


@pytest.mark.skipif(shutil.which("postconf") is None, reason="needs Postfix")
def test_postfix_knows_the_parameters() -> None:
    known = subprocess.run(["postconf", "-dH"], capture_output=True, text=True, check=True, timeout=20).stdout.split()
    shown = {str(block): main_cf.read(block.text).parameters for block in every("main.cf")}
    assert len(shown) > 10
    assert all(shown.values())
    assert {block: names for block, parameters in shown.items() if (names := {*parameters} - {*known})} == {}


@pytest.mark.skipif(not SMTPD.exists(), reason="needs Postfix")
def test_smtpd_knows_the_restrictions() -> None:
    words = SMTPD.read_bytes().split(b"\0")
    shown = [(block, smtpd) for block in every("main.cf") for smtpd in restrictions.read(main_cf.read(_main_cf(block), MASTER))]
    used = {each.name: str(block) for block, smtpd in shown for each in smtpd.all}
    assert len(used) > 15
    assert {name: block for name, block in used.items() if name.encode() not in words} == {}


@pytest.mark.parametrize("block", every("resolv.conf"), ids=str)
def test_resolv_conf_names_the_daemon_alone(block: Block) -> None:
    [server] = resolv_conf.read(block.text).servers
    own = config.parse(f'[dns]\nlisten = ["{server}:53"]\n[store]\nurl = "disk:/var/lib/resolverd"\n', Path("/etc/resolverd"))
    assert diagnose(Machine(own, resolv=block.text, daemon=True)) == []


def one(page: Path, info: str) -> Block:
    return next(block for block in blocks(page) if block.info == info)


def machine(main: Block, toml: str) -> Machine:
    settings = config.parse(toml + '[store]\nurl = "disk:/var/lib/resolverd"\n', Path("/etc/resolverd"))
    return Machine(settings, _main_cf(main), MASTER, RESOLV, RESOLV, daemon=True)


def test_the_tutorials_lines_after_the_move_are_in_order() -> None:
    toml = one(TUTORIAL, "toml after").text
    assert diagnose(machine(one(TUTORIAL, "main.cf after"), toml)) == []
    before = machine(one(TUTORIAL, "main.cf before"), '[dns]\nlisten = ["127.0.0.1:53"]\n')
    found = {finding.code for finding in diagnose(before)}
    assert {"policy-default-action", "exception-late", "list-dead", "checked-twice", "spf-twice"} <= found


def test_the_lines_after_the_move_are_those_that_the_command_prints() -> None:
    settings = config.parse("", Path("/etc/resolverd"))
    for enforce, block in (
        (True, one(TUTORIAL, "main.cf after").text),
        (False, blocks(DOCS / "ways.md")[_at("main.cf", 2)].text),
        (True, blocks(DOCS / "ways.md")[_at("main.cf", 3)].text),
    ):
        printed, written = main_cf.read(postfix.lines(settings, "policy", enforce=enforce)), main_cf.read(block)
        assert {name: value.split() for name, value in written.parameters.items()} == {
            name: value.split() for name, value in printed.parameters.items()
        }


def _at(info: str, number: int) -> int:
    """Where the block of this kind stands that comes after so many others of it on the page on the ways."""
    return [place for place, block in enumerate(blocks(DOCS / "ways.md")) if block.info == info][number]


def test_every_line_of_the_tutorial_has_its_row() -> None:
    cells = {cell for row in re.findall(r"(?m)^\| (.+?) \|", prose(TUTORIAL)) for cell in re.findall(r"`([^`]+)`", row)}
    lines = [line.strip().rstrip(",") for line in one(TUTORIAL, "main.cf before").text.splitlines()]
    wanted = {line for line in lines if line and line not in ("permit_mynetworks", "permit_sasl_authenticated")}
    for name in ("smtpd_helo_restrictions =", "smtpd_sender_restrictions =", "smtpd_recipient_restrictions ="):
        wanted.discard(name)
    assert wanted - cells == set()


def test_postscreens_lines_are_those_that_the_command_prints() -> None:
    settings = config.parse("", Path("/etc/resolverd"))
    printed = main_cf.read(postfix.lines(settings, "postscreen", enforce=True)).parameters
    shown = main_cf.read(blocks(DOCS / "ways.md")[_at("main.cf", 1)].text).parameters
    assert {name: value.split() for name, value in shown.items()} == {name: value.split() for name, value in printed.items()}


def test_the_index_says_what_is_documented() -> None:
    assert all(page.name in text_of(DOCS / "README.md") for page in DOCS.glob("*.md") if page.name != "README.md")
