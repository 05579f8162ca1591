"""The man pages and the shells' completions, made from the commands and the configuration themselves.

``python -m resolverd.cli.manual PREFIX`` writes them below ``PREFIX/share``, where each program looks for them; ``--list`` in
place of PREFIX prints where that is, a path a line.
"""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from resolverd.cli import config_manual
from resolverd.cli.roff import heading, roff, running, verbatim
from resolverd.cli.root import resolverd

_NAME: Final = "resolverd"
_COMPLETIONS: Final[tuple[tuple[type[ShellComplete], str], ...]] = (
    (BashComplete, "bash-completion/completions/resolverd"),
    (ZshComplete, "zsh/site-functions/_resolverd"),
    (FishComplete, "fish/vendor_completions.d/resolverd.fish"),
)
_FILES: Final = (
    ("/etc/resolverd/config.toml", "the configuration, unless ./config.toml or -c FILE is there: resolverd-config(5)"),
    ("/var/lib/resolverd", "greylist, token, the socket for commands; systemd's StateDirectory=, or [store] url, come before it"),
)


def man_page() -> str:
    """resolverd(1) in roff, with every command and option."""
    root = click.Context(resolverd, info_name=_NAME, **resolverd.context_settings)
    lines = [
        heading(_NAME, 1, "User Commands"),
        ".SH NAME",
        rf"resolverd \- {roff(_paragraphs(resolverd)[0].rstrip('.'))}",
        ".SH SYNOPSIS",
        rf".B resolverd\fR {roff(' '.join(resolverd.collect_usage_pieces(root)))}",
        ".SH DESCRIPTION",
        *_text(resolverd),
        *_options(root),
        ".SH COMMANDS",
        *_commands(resolverd, root),
        ".SH FILES",
    ]
    for path, what in _FILES:
        lines += [".TP", f".I {roff(path)}", running(what)]
    lines += [".SH SIGNALS", ".TP", ".B SIGHUP", "read the configuration again", ".TP", ".B SIGTERM", "end, within two seconds"]
    lines += [".SH SEE ALSO", r".BR resolverd\-config (5),", ".BR postconf (5),", ".BR systemd.service (5)"]
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, ctx: click.Context) -> Iterator[str]:
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if command is None or command.hidden:
            continue
        below = click.Context(command, info_name=name, parent=ctx)
        yield f'.SS "{roff(below.command_path)} {roff(" ".join(command.collect_usage_pieces(below)))}"'
        yield from _text(command)
        yield from _options(below)
        if isinstance(command, click.Group):
            yield from _commands(command, below)


def _paragraphs(command: click.Command) -> list[str]:
    text = inspect.cleandoc(command.help or "").partition("\f")[0]
    return [part for part in re.split(r"\n\s*\n", text) if part]


def _text(command: click.Command) -> Iterator[str]:
    for at, paragraph in enumerate(_paragraphs(command)):
        if at:
            yield ".PP"
        if paragraph.startswith("\b"):  # click's mark for lines that stay as they are
            yield from verbatim(paragraph.removeprefix("\b").strip("\n").split("\n"))
        else:
            yield running(" ".join(paragraph.split()))


def _options(ctx: click.Context) -> Iterator[str]:
    for parameter in ctx.command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None:
            yield from (".TP", f".B {roff(record[0])}", running(record[1]))


def pages() -> dict[str, str]:
    """Every file with its text, by its path below ``PREFIX/share``."""
    found = {"man/man1/resolverd.1": man_page(), "man/man5/resolverd-config.5": config_manual.man_page()}
    return found | {path: kind(resolverd, {}, _NAME, "_RESOLVERD_COMPLETE").source() + "\n" for kind, path in _COMPLETIONS}


def write(prefix: Path) -> None:
    """Write all of them below ``prefix/share``. Raises OSError."""
    for path, text in pages().items():
        file = prefix / "share" / path
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        file.chmod(0o644)


if __name__ == "__main__":
    if sys.argv[1] == "--list":
        sys.stdout.writelines(f"{path}\n" for path in pages())
    else:
        write(Path(sys.argv[1]))
