"""Text as roff prints it, for the man pages (groff_man(7))."""

import textwrap
from collections.abc import Iterable, Iterator
from importlib.resources import files
from typing import Final

from resolverd import __version__

_WIDTH: Final = 79
_HYPHEN: Final = "\0-"
"""As long as a hyphen becomes by `roff`."""


def heading(name: str, section: int, kind: str) -> str:
    """The line that a page begins with; its date is that of this version."""
    date = files("resolverd.data").joinpath("build_date").read_text("ascii").strip()
    return f'.TH {roff(name.upper())} {section} "{date}" "resolverd {__version__}" "{kind}"'


def roff(text: str) -> str:
    """Text on a line: no escapes, no requests, and hyphens that can be searched for and copied."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{text}" if text.startswith((".", "'")) else text


def running(text: str) -> str:
    """Running text, in lines of a length that people and linters like in a source."""
    lines = textwrap.wrap(text.replace("-", _HYPHEN), _WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join(roff(line.replace(_HYPHEN, "-")) for line in lines)


def verbatim(lines: Iterable[str]) -> Iterator[str]:
    """Lines that stay as they are."""
    yield from (".nf", *map(roff, lines), ".fi")
