"""The reference as a page of the documentation."""

import re
import textwrap
from collections.abc import Iterator
from typing import Final

from resolverd.config.reference.read import Entry, Key, Reference, Section

_WIDTH: Final = 130
_CODE: Final = re.compile(r"`[^`]+`|\{[^{}]+\}|\[\"[^\n]*?\"\]|\"[^\"]+\"|\b(?:true|false)\b(?=:)")
"""What stands in the comments as it is to be written: a quotation, a list or table of them, true and false."""


def page(found: Reference) -> str:
    """docs/configuration.md."""
    lines = ["# config.toml, key by key", ""]
    lines += _paragraph(
        "Made from the comments of [config.toml](../config.toml) and from the settings' own types by"
        " `python -m resolverd.config.reference`; resolverd-config(5) says the same."
    )
    for text in found.intro:
        lines += _paragraph(prose(text))
    lines += _paragraph(
        "A change takes effect at the next reload (`resolverd reload`, `systemctl reload resolverd`), unless *restart* stands at"
        " the key: then at the next start."
    )
    names = [section.header for section in found.sections]
    lines += _paragraph("Tables: " + " · ".join(f"[`{name}`](#{anchor(name)})" for name in names))
    for section in found.sections:
        lines += _section(section)
    return "\n".join(lines).rstrip("\n") + "\n"


def anchor(heading: str) -> str:
    """The fragment by which GitHub and its kind know a heading."""
    return re.sub(r"[^\w -]", "", heading).replace(" ", "-").lower()


def sentence(text: str) -> str:
    """A comment as a sentence: begun by a capital, unless by a value or a key, and ended."""
    if not re.match(r"resolverd|\w*[._(]\w|true|false", text):
        text = text[0].upper() + text[1:]
    return text if text.endswith((".", ":", "!", "?")) else f"{text}."


def prose(text: str) -> str:
    """A comment in Markdown."""
    return _coded(sentence(text))


def _coded(text: str) -> str:
    return _CODE.sub(lambda found: found[0] if found[0].startswith("`") else f"`{found[0]}`", text)


def facts(key: Key) -> Iterator[str]:
    """What the values of a key are, its default, and when a change takes effect; values in backticks."""
    yield key.form
    if key.by_preset:
        yield f"by default {key.by_preset}"
    else:
        yield f"{'for example' if key.is_example else 'by default'} `{key.value}`"
    if key.at_start:
        yield "*restart*" if key.at_start == key.name else f"*restart* for `{key.at_start}`"


def _section(section: Section) -> Iterator[str]:
    yield f"## `{section.header}`"
    yield ""
    if section.text or section.title:
        yield from _paragraph(prose(section.text or section.title))
    if section.example:
        yield from ("```toml", *section.example.split("\n"), "```", "")
    for entry in section.entries:
        yield from _entry(entry)
    for note in section.notes:
        yield from _paragraph(prose(note))


def _entry(entry: Entry) -> Iterator[str]:
    yield f"### {', '.join(f'`{key.path}`' for key in entry.keys)}"
    yield ""
    if entry.text:
        yield from _paragraph(prose(entry.text))
    for key in entry.keys:
        words = _coded("; ".join(facts(key)))
        yield from textwrap.wrap(f"- `{key.name}`: {words}", _WIDTH, subsequent_indent="  ", break_long_words=False,
                                 break_on_hyphens=False)  # fmt: skip
    yield ""


def _paragraph(text: str) -> Iterator[str]:
    yield from textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
    yield ""
