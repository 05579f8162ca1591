"""What commands print: tables and colour on a terminal, tab-separated lines elsewhere, JSON where asked for."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import click

COLOURS = {
    "reject": "red", "listed": "red", "suspended": "red", "dead": "red",
    "defer": "yellow", "greylist": "yellow", "unknown": "yellow", "unreachable": "yellow", "spent": "yellow",
    "deny": "red", "allow": "green",
    "accept": "green", "ok": "green", "allowed": "green",
    "disabled": "bright_black", "clear": "bright_black",
}  # fmt: skip


def on_terminal() -> bool:
    """Whether tables and colour are wanted (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_json(document: Any) -> None:
    """One object, in ASCII so that no terminal takes offence."""
    click.echo(json.dumps(document, indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[str] = ()) -> None:
    """A table on a terminal, else a line of headings and a line a row, tab-separated. `right`: columns of numbers."""
    texts = [[shown(cell) for cell in row] for row in rows]
    if not on_terminal():
        for line in [list(columns), *texts]:
            click.echo("\t".join(line))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(Text(column), justify="right" if column in set(right) else "left", overflow="fold")
    for row in texts:
        table.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in row))
    Console(highlight=False, emoji=False).print(table)


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """``name: value`` lines; facts without a value are left out."""
    terminal = on_terminal()
    for name, value in facts:
        text = shown(value)
        if text:
            click.echo(f"{name}: {click.style(text, fg=COLOURS.get(text)) if terminal else text}", color=terminal)


def shown(value: object) -> str:
    """A value as text on one line; control characters, which strangers may have put there, are not let through."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return "".join(char if char.isprintable() else "?" for char in text)


def moment(at: int | None) -> str:
    """A wall-clock second in local time."""
    if at is None:
        return ""
    try:
        return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return str(at)


def seconds(value: int | None) -> str:
    """An age or a time to live in words."""
    if value is None:
        return ""
    size = abs(value)
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if size >= 2 * length:
            return f"{value // length if value > 0 else -(size // length)} {unit}"
    return f"{value} s"
