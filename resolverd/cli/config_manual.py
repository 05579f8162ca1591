"""resolverd-config(5): config.toml key by key, from the reference that docs/configuration.md is made of."""

from collections.abc import Iterator

from resolverd.cli.roff import heading, roff, running, verbatim
from resolverd.config.reference import Key, Section, reference
from resolverd.config.reference.markdown import facts, sentence


def man_page() -> str:
    """The page in roff."""
    found = reference()
    lines = [
        heading("resolverd-config", 5, "File Formats"),
        ".SH NAME",
        r"resolverd\-config \- the configuration of resolverd",
        ".SH SYNOPSIS",
        ".I /etc/resolverd/config.toml",
        ".SH DESCRIPTION",
    ]
    for text in found.intro:
        lines += [_text(text), ".PP"]
    lines.append(running("A change takes effect at the next reload, unless it is said to need a restart."))
    for section in found.sections:
        lines += _section(section)
    return "\n".join([*lines, ".SH SEE ALSO", ".BR resolverd (1),", ".BR postconf (5)"]) + "\n"


def _section(section: Section) -> Iterator[str]:
    yield f".SH {roff(section.header)}"
    if section.text or section.title:
        yield _text(section.text or section.title)
    if section.example:
        yield ".PP"
        yield from verbatim(section.example.split("\n"))
    for entry in section.entries:
        for at, key in enumerate(entry.keys):
            yield ".TP" if not at else ".TQ"
            yield f".B {roff(key.name)}"
        if entry.text:
            yield _text(entry.text)
        for key in entry.keys:
            yield ".RS"
            yield ".PP"
            yield _facts(key, named=len(entry.keys) > 1)
            yield ".RE"
    for note in section.notes:
        yield ".PP"
        yield _text(note)


def _facts(key: Key, *, named: bool) -> str:
    return running(_plain(f"{f'{key.name}: ' if named else ''}{'; '.join(facts(key))}"))


def _text(text: str) -> str:
    return running(_plain(sentence(text)))


def _plain(text: str) -> str:
    """Without the marks of Markdown; a quotation says as much."""
    return text.replace("`", "").replace("*restart*", "needs a restart")
