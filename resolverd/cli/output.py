"""What commands print: tables and colour on a terminal, tab-separated lines elsewhere, JSON where asked for.

No line is wider than the terminal (`COLUMNS`, where that is set), and no word is cut that fits a line. A table for which there is
no room has its rows as records, one below the other.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from textwrap import TextWrapper
from typing import Any, Final

import click

COLOURS = {
    "reject": "red", "listed": "red", "suspended": "red", "dead": "red",
    "defer": "yellow", "greylist": "yellow", "unknown": "yellow", "unreachable": "yellow", "spent": "yellow",
    "deny": "red", "allow": "green",
    "accept": "green", "ok": "green", "allowed": "green",
    "disabled": "bright_black", "clear": "bright_black",
}  # fmt: skip
_GAP: Final = 2
"""Columns between two of a table."""
_LEAST_PROSE: Final = 20
"""Columns without which prose is no pleasure to read."""
_LEAST_WIDTH: Final = 20
_TIE: Final = "\x00"
"""Between words that are to stay on one line; `shown` lets none through."""


def on_terminal() -> bool:
    """Whether tables and colour are wanted (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_json(document: Any) -> None:
    """One object, in ASCII so that no terminal takes offence."""
    click.echo(json.dumps(document, indent=2))


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Iterable[str] = (),
    prose: Iterable[str] = (),
    empty: str = "nothing",
) -> None:
    """A table on a terminal, else a line of headings and a line a row, tab-separated; `empty` where there are no rows.

    `right`: columns of numbers. `prose`: those that may be wrapped between words. On a terminal, columns that no row has
    anything in are left out.
    """
    texts = [[shown(cell) for cell in row] for row in rows]
    if not texts:
        click.echo(empty)
    elif not on_terminal():
        for line in [list(columns), *texts]:
            click.echo("\t".join(line))
    else:
        used = [at for at in range(len(columns)) if any(row[at] for row in texts)]
        _print_fitting([columns[at] for at in used], [[row[at] for at in used] for row in texts], set(right), set(prose))


def _print_fitting(columns: list[str], rows: list[list[str]], right: set[str], prose: set[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    widths = _widths(columns, rows, prose)
    if widths is None:
        _print_records(columns, rows)
        return
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False)
    for column, width in zip(columns, widths, strict=True):
        table.add_column(Text(column), width=width, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in row))
    Console(highlight=False, emoji=False, width=width_of_terminal()).print(table)


def _widths(columns: list[str], rows: list[list[str]], prose: set[str]) -> list[int] | None:
    """The width of each column; prose has what the others leave it, and its longest word at least. None: there is no room."""
    from rich.cells import cell_len

    cells = [[column, *(row[at] for row in rows)] for at, column in enumerate(columns)]
    widest = [max(map(cell_len, each)) for each in cells]
    widths = [
        max((cell_len(word) for cell in each for word in cell.split()), default=0) if column in prose else width
        for column, each, width in zip(columns, cells, widest, strict=True)
    ]
    room = width_of_terminal() - _GAP * (len(columns) - 1) - sum(widths)
    if room < 0:
        return None
    for at, column in enumerate(columns):
        if column in prose:
            more = min(room, widest[at] - widths[at])
            widths[at] += more
            room -= more
            if widths[at] < min(widest[at], _LEAST_PROSE):
                return None
    return widths


def _print_records(columns: list[str], rows: list[list[str]]) -> None:
    """A row below the other: its first two cells, and below them the others, each with the name of its column."""
    for row in rows:
        head = "  ".join(filter(None, row[:2]))
        for line in wrapped(head, rest="  "):
            click.echo(line.replace(row[1], styled(row[1])).replace(row[0], styled(row[0])) if line == head else line)
        facts = [f"{column} {cell}" for column, cell in zip(columns[2:], row[2:], strict=True) if cell]
        whole = [fact.replace(" ", _TIE) if len(fact) <= width_of_terminal() - 8 else fact for fact in facts]
        for line in wrapped(f"{_TIE}· ".join(whole), "    ") if facts else ():
            click.echo(line.replace(_TIE, " "))


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """``name: value`` lines; facts without a value are left out."""
    terminal = on_terminal()
    for name, value in facts:
        text = shown(value)
        if text and terminal:
            first, *others = wrapped(f"{name}: {text}", rest="  ")
            click.echo(first.replace(text, styled(text)) if text in COLOURS else first)
            for line in others:
                click.echo(line)
        elif text:
            click.echo(f"{name}: {text}")


def print_text(text: str, indent: str = "", *, label: str = "", colour: str = "") -> None:
    """A line, begun by `label` in its colour; on a terminal as many as it needs, the others indented below the text."""
    text = shown(text)
    if not on_terminal():
        click.echo(f"{indent}{label}{text}")
        return
    first, *others = wrapped(f"{label}{text}", indent, indent + (" " * len(label) or "  "))
    click.echo(first.replace(label, click.style(label, fg=colour), 1) if colour else first)
    for line in others:
        click.echo(line)


def wrapped(text: str, indent: str = "", rest: str | None = None) -> list[str]:
    """Lines no wider than the terminal, broken between words; a word that is wider than a line is broken all the same."""
    wrapper = TextWrapper(
        width_of_terminal(), initial_indent=indent, subsequent_indent=indent if rest is None else rest, break_on_hyphens=False
    )
    return wrapper.wrap(text) or [indent]


def styled(text: str) -> str:
    """A word in its colour, where it has one and there are colours."""
    colour = COLOURS.get(text)
    return click.style(text, fg=colour) if colour and on_terminal() else text


def width_of_terminal() -> int:
    """Columns: what the environment's COLUMNS says, else the terminal."""
    return max(shutil.get_terminal_size((80, 24)).columns, _LEAST_WIDTH)


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Shows on a terminal, while something is waited for, what that is and for how long; nothing of it stays."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn("line"), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(text, total=None)
        yield


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


def size(octets: int) -> str:
    """Octets in words."""
    for unit, length in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if octets >= length:
            return f"{octets / length:.1f} {unit}".replace(".0 ", " ")
    return f"{octets} B"
