"""The man page and the completions: made from the commands, so that none is missing, and read by the programs they are for."""

import shutil
import subprocess
from pathlib import Path

import click
import pytest
from commandline import commands

from resolverd.cli import manual


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


def test_no_line_is_a_request_by_accident() -> None:
    known = (".TH", ".SH", ".SS", ".PP", ".TP", ".B ", ".BR", ".I ", ".nf", ".fi")
    assert [line for line in manual.man_page().splitlines() if line.startswith((".", "'")) and not line.startswith(known)] == []


@pytest.mark.skipif(shutil.which("groff") is None, reason="Debian's package groff-base has groff")
def test_groff_has_nothing_to_say_against_it(tmp_path: Path) -> None:
    manual.write(tmp_path)
    page = tmp_path / "share" / "man" / "man1" / "resolverd.1"
    words = ["groff", "-k", "-man", "-ww", "-Tutf8", "-z", page]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == ""


def test_bash_reads_its_completion(tmp_path: Path) -> None:
    manual.write(tmp_path)
    subprocess.run(["bash", "-n", tmp_path / "share" / "bash-completion" / "completions" / "resolverd"], check=True, timeout=30)
