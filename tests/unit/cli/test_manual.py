"""The man page and the completions: made from the commands, so that none is missing, and read by the programs they are for."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from commandline import commands

from resolverd.cli import config_manual, manual


def plain(text: str) -> str:
    return text.replace(r"\-", "-").replace(r"\&", "").replace(r"\e", "\\")


def test_every_command_and_option_is_there() -> None:
    text = plain(manual.man_page())
    for path, command in commands():
        if command.hidden:
            continue
        section = text.partition(f'.SS "{path} ')[2].partition(".SS")[0]
        assert section, path
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.opts[-1] in section, (path, parameter.name)


@pytest.mark.parametrize("page", [manual.man_page, config_manual.man_page])
def test_no_line_is_a_request_by_accident(page: Callable[[], str]) -> None:
    known = (".TH", ".SH", ".SS", ".PP", ".TP", ".TQ", ".RS", ".RE", ".B ", ".BR", ".I ", ".nf", ".fi")
    assert [line for line in page().splitlines() if line.startswith((".", "'")) and not line.startswith(known)] == []


@pytest.mark.skipif(shutil.which("groff") is None, reason="Debian's package groff-base has groff")
def test_groff_has_nothing_to_say_against_it(tmp_path: Path) -> None:
    manual.write(tmp_path)
    pages = sorted((tmp_path / "share" / "man").rglob("*.[1-9]"))
    assert [page.name for page in pages] == ["resolverd.1", "resolverd-config.5"]
    for page in pages:
        words = ["groff", "-k", "-man", "-ww", "-Tutf8", "-z", page]
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True)
        assert done.stderr == ""


def test_what_is_written_is_listed(tmp_path: Path) -> None:
    manual.write(tmp_path)
    done = subprocess.run([sys.executable, "-m", "resolverd.cli.manual", "--list"], capture_output=True, text=True, check=True)
    written = [str(path.relative_to(tmp_path / "share")) for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(done.stdout.splitlines()) == sorted(written)


def test_bash_reads_its_completion(tmp_path: Path) -> None:
    manual.write(tmp_path)
    subprocess.run(["bash", "-n", tmp_path / "share" / "bash-completion" / "completions" / "resolverd"], check=True, timeout=30)
