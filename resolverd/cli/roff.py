"""Text as roff prints it, for the man pages (groff_man(7))."""

from collections.abc import Iterable, Iterator
from importlib.resources import files

from resolverd import __version__


def heading(name: str, section: int, kind: str) -> str:
    """The line that a page begins with; its date is that of this version."""
    date = files("resolverd.data").joinpath("build_date").read_text("ascii").strip()
    return f'.TH {roff(name.upper())} {section} "{date}" "resolverd {__version__}" "{kind}"'


def roff(text: str) -> str:
    """Text in running: no escapes, no requests, and hyphens that can be searched for and copied."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{text}" if text.startswith((".", "'")) else text


def verbatim(lines: Iterable[str]) -> Iterator[str]:
    """Lines that stay as they are."""
    yield from (".nf", *map(roff, lines), ".fi")
