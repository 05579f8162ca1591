"""config.toml taken apart: sections, keys with the comment above them, and what the settings know of each."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

from msgspec import Struct
from msgspec.structs import fields, replace

from resolverd.config.reader import hints_of, inner_table
from resolverd.config.reference.forms import form
from resolverd.config.settings import AT_START, Checks, Settings
from resolverd.policy.check import CheckRules

_SECTION: Final = re.compile(r"#?(\[{1,2})([a-z][a-z0-9_.-]*)\]{1,2}")
_KEY: Final = re.compile(r"(#?)([a-z][a-z0-9_]*) = (.*)")
_OF_EACH_CHECK: Final = frozenset({"action", "score", "code"})
"""Keys that stand in every check's table, and are explained once."""


class Key(NamedTuple):
    """A key: its `name` within the section, and its `path`; what its values are; the `value` that the file shows, which is the
    default unless it `is_example`; the default in words where the preset has it; what of it is acted on at the start alone, if
    anything."""

    name: str
    path: str
    form: str
    value: str
    is_example: bool
    by_preset: str
    at_start: str


class Entry(NamedTuple):
    """Keys that are explained together. Without text, by the section above."""

    keys: tuple[Key, ...]
    text: str


class Section(NamedTuple):
    """A table of the file: its `title`, where the settings have one, what is said before its keys and behind them; and the
    table as it might be written, where the file has it as an example only."""

    header: str
    title: str
    text: str
    entries: tuple[Entry, ...]
    notes: tuple[str, ...]
    example: str


class Reference(NamedTuple):
    """The whole file: paragraphs of its beginning, and its sections."""

    intro: tuple[str, ...]
    sections: tuple[Section, ...]

    def every_key(self) -> Iterator[Key]:
        """Every key in the order of the file."""
        for section in self.sections:
            for entry in section.entries:
                yield from entry.keys


@cache
def reference() -> Reference:
    """The reference of config.toml as shipped."""
    return read(files("resolverd.data").joinpath("config.toml").read_text("utf-8"))


def read(text: str) -> Reference:
    """The reference that a commented file makes. Raises ValueError for one that is not written like that."""
    reader = _Reader()
    lines = iter(text.splitlines())
    for line in lines:
        if found := _SECTION.fullmatch(line):
            reader.begin(found[2], found[1] == "[[", is_example=line.startswith("#"))
        elif found := _KEY.fullmatch(line):
            value = found[3]
            while value.count("[") != value.count("]") or value.count("{") != value.count("}"):
                value = f"{value} {next(lines).strip()}"
            reader.key(found[2], value.replace("[ ", "[").replace(", ]", "]"), bool(found[1]))
        elif line.startswith("#") or not line:
            reader.comment(line.removeprefix("#").strip() if line else None)
        else:
            raise ValueError(f"neither comment, table nor key: {line}")
    return reader.done()


class _Reader:
    def __init__(self) -> None:
        self.intro: list[str] = []
        self.sections: list[Section] = []
        self.prose: list[str] = []
        self.path: tuple[str, ...] = ()
        self.entries: list[tuple[list[Key], str]] = []
        self.is_open = False
        self.is_array = self.is_example = False
        self.text = ""
        self.notes: list[str] = []

    def comment(self, text: str | None) -> None:
        """A line of comment, the empty ones between paragraphs included; None for a line without comment."""
        self.is_open = False
        if text:
            self.prose.append(text)
        elif self.prose:
            (self.notes if self.path else self.intro).append(" ".join(self.prose))
            self.prose.clear()

    def begin(self, name: str, is_array: bool, is_example: bool) -> None:
        """A table's header."""
        self._end()
        self.path, self.is_array, self.is_example = tuple(name.split(".")), is_array, is_example
        self.text = self._taken()
        self.entries, self.notes, self.is_open = [], [], False

    def key(self, name: str, value: str, is_commented: bool) -> None:
        """A key with what stands behind it."""
        text = self._taken()
        if not text and not self.is_open and name not in _OF_EACH_CHECK:
            raise ValueError(f"nothing is said of {'.'.join(self.path)}.{name}")
        if text or not self.is_open:
            self.entries.append(([], text))
        self.is_open = True
        self.entries[-1][0].append(_key(self.path, name, value, is_example=is_commented))

    def done(self) -> Reference:
        self._end()
        return Reference(tuple(self.intro), tuple(self.sections))

    def _taken(self) -> str:
        text = " ".join(self.prose)
        self.prose.clear()
        return text

    def _end(self) -> None:
        if not self.path:
            return
        left, right = ("[[", "]]") if self.is_array else ("[", "]")
        header = f"{left}{'.'.join(self.path)}{right}"
        entries = tuple(Entry(tuple(keys), text) for keys, text in self.entries)
        shown = [f"{key.name} = {key.value}" for entry in entries for key in entry.keys] if self.is_example else []
        example = "\n".join([header, *shown]) if shown else ""
        title = _title(_table(self.path))
        self.sections.append(Section(header, title, self.text, entries, tuple(self.notes), example))


def _key(table: tuple[str, ...], name: str, value: str, *, is_example: bool) -> Key:
    kind = _table(table)
    hint = next((hints_of(kind)[info.name] for info in fields(kind) if info.encode_name == name), None)
    if hint is None:
        raise ValueError(f"no key of the settings: {'.'.join((*table, name))}")
    path = ".".join((*table, name))
    at_start = ", ".join(each.removeprefix(path).lstrip(".") or name for each in AT_START if f"{each}.".startswith(f"{path}."))
    return Key(name, path, form(hint), value, is_example, _by_preset(table, name), at_start)


def _table(path: tuple[str, ...]) -> type[Struct]:
    """The settings that a table of the file becomes. Raises ValueError."""
    kind: type[Struct] = Settings
    names = iter(path)
    for name in names:
        hint = next((hints_of(kind)[info.name] for info in fields(kind) if info.encode_name == name), None)
        inner = inner_table(hint)
        if inner is None:
            raise ValueError(f"no table of the settings: {'.'.join(path)}")
        if name == "lists":
            next(names)
        kind = inner
    return kind


def _title(kind: type[Struct]) -> str:
    found = re.match(r"``\[.*?\]``: (.+?)[.]?(?:\n|$)", kind.__doc__ or "")
    return found[1].partition(". ")[0] if found else ""


def _by_preset(table: tuple[str, ...], name: str) -> str:
    """The default of what every check has, by preset; nothing for other keys."""
    if table[0] != "checks" or name not in ("action", "score"):
        return ""
    values: dict[str, str] = {}
    for preset in ("tutorial", "scored"):
        for key, rules in _rules(preset).items():
            if key == ".".join(table):
                shown: Any = rules.consequence if name == "action" else rules.score
                values[preset] = f'"{shown}"' if name == "action" and shown is not None else f"{shown:g}" if shown else ""
    if not any(values.values()):
        return ""
    if len(set(values.values())) == 1:
        return values["tutorial"]
    return ", ".join(f"in preset {preset} {value or 'as said above'}" for preset, value in values.items())


@cache
def _rules(preset: str) -> Mapping[str, CheckRules]:
    """The rules of each check in a preset by the key of its table."""
    checks = replace(Checks(), preset=preset)
    rules = checks.rules()
    return {key: rules[check.name] for key, check, _ in checks.tables() if check.name in rules}
