"""The documentation as the tests take it: pages, their fenced blocks, the commands in them, links and headings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
INDEX = DOCS / "README.md"
ZONES = ROOT / "zones" / "README.md"
PAGES = (ROOT / "README.md", *sorted(DOCS.glob("*.md")), ZONES, *sorted((ROOT / "contrib").rglob("*.md")))

_FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_OPERATORS = frozenset({"|", "||", "&", "&&", ";", ">", "<", ">>"})
_BEFORE = frozenset({"sudo", "!"})


class Block(NamedTuple):
    """A fenced block: what its fence says, and its text without the indentation of the fence."""

    page: Path
    line: int
    info: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


@cache
def text_of(page: Path) -> str:
    return page.read_text("utf-8")


@cache
def blocks(page: Path) -> tuple[Block, ...]:
    text = text_of(page)
    return tuple(
        Block(page, text.count("\n", 0, found.start()) + 1, found[2].strip(), _dedented(found[3], len(found[1])))
        for found in _FENCE.finditer(text)
    )


def _dedented(text: str, spaces: int) -> str:
    return "".join(line[spaces:] if line[:spaces].isspace() else line for line in text.splitlines(keepends=True))


def every(kind: str) -> list[Block]:
    """The blocks of all pages whose fence begins with this word."""
    return [block for page in PAGES for block in blocks(page) if block.info.partition(" ")[0] == kind]


def prose(page: Path) -> str:
    """What is no block."""
    return _FENCE.sub("", text_of(page))


def links(page: Path) -> list[str]:
    return [target for target in _LINK.findall(prose(page)) if "://" not in target]


@cache
def anchors(page: Path) -> frozenset[str]:
    """Those of its headings, as GitHub and most others make them."""
    return frozenset(_slug(heading) for heading in _HEADING.findall(_FENCE.sub("", text_of(page))))


def _slug(heading: str) -> str:
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower().strip()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


class Command(NamedTuple):
    """One program called, with its words."""

    block: Block
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.block}: {shlex.join(self.words)}"


def commands(program: str) -> list[Command]:
    """All calls of a program in ``sh`` blocks, and in prose where it stands in backticks; those within ``sh -c`` too."""
    found = [Command(block, words) for block in every("sh") for words in _calls(block.text)]
    for page in PAGES:
        for number, code in enumerate(re.findall(r"(?<!`)`((?:sudo )?resolverd [^`]+)`(?!`)", prose(page)), 1):
            found += [Command(Block(page, number, "in prose", code), words) for words in _calls(" ".join(code.split()))]
    return [each for each in found if Path(each.words[0]).name == program]


def _calls(script: str) -> Iterator[tuple[str, ...]]:
    lexer = shlex.shlex(script.replace("\\\n", " ").replace("\n", " ; "), posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    for word in (*lexer, ";"):
        if word not in _OPERATORS:
            words.append(word)
            continue
        while words and words[0] in _BEFORE:
            del words[0]
        if words[:2] == ["sh", "-c"]:
            yield from _calls(words[2])
        elif words:
            yield tuple(words)
        words = []
