"""From a parsed TOML document to Settings, finding every fault on the way instead of stopping at the first."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from msgspec import NODEFAULT, UNSET, Struct, UnsetType
from msgspec.structs import FieldInfo, fields

from resolverd.config.secrets import BadValue
from resolverd.config.settings import Settings
from resolverd.config.types import Codec
from resolverd.config.values import spell
from resolverd.failures import ConfigFault
from resolverd.spelling import did_you_mean

_FAULTY: Final = object()
_PLAIN_TYPES = {bool: "true or false", str: "text in quotes"}


def read(document: Mapping[str, Any], base: Path) -> tuple[Settings, list[ConfigFault]]:
    """The settings that a document describes, and its faults; what is faulty has its default, so that more can be checked.

    Relative paths, those of defaults included, are relative to `base`.
    """
    reader = _Reader(base)
    settings = reader.table(Settings, document, "")
    return settings, reader.faults


def keys(kind: type[Struct] = Settings, prefix: str = "") -> Iterator[str]:
    """The path of every key that a configuration may have; names that the user chooses are ``*``."""
    for info in fields(kind):
        path = f"{prefix}{info.encode_name}"
        inner = inner_table(hints_of(kind)[info.name])
        if inner is None:
            yield path
        else:
            star = ".*" if get_origin(without_none(hints_of(kind)[info.name])) is Mapping else ""
            yield from keys(inner, f"{path}{star}.")


class _Reader:
    def __init__(self, base: Path):
        self.base = base
        self.faults: list[ConfigFault] = []

    def fault(self, path: str, text: str) -> None:
        self.faults.append(ConfigFault(path, text))

    def table(self, kind: type[Struct], found: object, path: str) -> Any:
        """A table as the Struct it is declared as; faulty keys have their defaults."""
        prefix = f"{path}." if path else ""
        if not isinstance(found, Mapping):
            self.fault(path, f"expected a table, not {spell(found)}")
            found = {}
        known = {info.encode_name: info for info in fields(kind)}
        for name in found:
            if name not in known:
                self.fault(f"{prefix}{name}", f"unknown key; the nearest valid one is {_nearest(name, prefix, list(known))}")
        arguments: dict[str, Any] = {}
        for name, info in known.items():
            hint = hints_of(kind)[info.name]
            value = self.value(hint, found[name], f"{prefix}{name}") if name in found else _FAULTY
            if value is _FAULTY and not info.required:
                value = self.default(hint, info)
            elif name not in found:
                self.fault(f"{prefix}{name}", "is missing")
            arguments[info.name] = value
        return _FAULTY if _FAULTY in arguments.values() else kind(**arguments)

    def default(self, hint: Any, info: FieldInfo) -> Any:
        """A key's default; codecs read theirs like text from the file, so that its paths have the same base."""
        value = info.default if info.default is not NODEFAULT else info.default_factory()
        hint = without_none(hint)
        codec = codec_of(hint)
        if isinstance(value, Struct):
            return self.table(type(value), {}, "")
        if codec is not None and value is not None and value is not UNSET:
            return codec.read(codec.show(value), self.base)
        return value

    def value(self, hint: Any, found: object, path: str) -> Any:
        """One value as declared, or `_FAULTY`, and then the fault is noted."""
        hint = without_none(hint)
        codec, origin = codec_of(hint), get_origin(hint)
        if codec is not None:
            try:
                return codec.read(found, self.base)
            except BadValue as error:
                self.fault(path, str(error))
        elif origin is tuple:
            return self.sequence(get_args(hint)[0], found, path)
        elif origin is Mapping:
            return self.mapping(get_args(hint)[1], found, path)
        elif origin is Literal:
            choices = get_args(hint)
            if found in choices and isinstance(found, str):
                return found
            if isinstance(found, str):
                self.fault(path, f"{found!r} is none of {', '.join(choices)}{did_you_mean(found, choices)}")
            else:
                self.fault(path, f"expected one of {', '.join(choices)}, not {spell(found)}")
        elif isinstance(hint, type) and issubclass(hint, Struct):
            return self.table(hint, found, path)
        elif isinstance(found, hint):
            return found
        else:
            self.fault(path, f"expected {_PLAIN_TYPES[hint]}, not {spell(found)}")
        return _FAULTY

    def sequence(self, hint: Any, found: object, path: str) -> Any:
        """A list, or an array of tables, without the faulty ones."""
        if not isinstance(found, list):
            self.fault(path, f"expected a list in [ ], not {spell(found)}")
            return _FAULTY
        values = [self.value(hint, item, f"{path}[{at}]") for at, item in enumerate(found)]
        for at, item in enumerate(found):
            if not isinstance(item, dict) and item in found[:at]:
                self.fault(f"{path}[{at}]", f"{item!r} stands there twice")
        return tuple(value for value in values if value is not _FAULTY)

    def mapping(self, hint: Any, found: object, path: str) -> Any:
        """A table whose keys the user chooses."""
        if not isinstance(found, Mapping):
            self.fault(path, f"expected a table, not {spell(found)}")
            return _FAULTY
        if hint is Any:
            return dict(found)
        values = {name: self.value(hint, item, f"{path}.{name}") for name, item in found.items()}
        return {name: value for name, value in values.items() if value is not _FAULTY}


def hints_of(kind: type[Struct]) -> dict[str, Any]:
    """The types of a table's keys, by field."""
    return get_type_hints(kind, include_extras=True)


def without_none(hint: Any) -> Any:
    """``X`` of ``X | None`` and of ``X | UnsetType``: TOML has no null, a key is there or not."""
    if get_origin(hint) in (Union, UnionType):
        kept = [arm for arm in get_args(hint) if arm not in (type(None), UnsetType)]
        if len(kept) == 1:
            return kept[0]
    return hint


def codec_of(hint: Any) -> Codec | None:
    """How the text of such a key is read, where that is not plain."""
    if get_origin(hint) is not Annotated:
        return None
    return next(extra for extra in hint.__metadata__ if isinstance(extra, Codec))


def inner_table(hint: Any) -> type[Struct] | None:
    """The table, or one of the tables, that stand at such a key."""
    hint = without_none(hint)
    arguments = get_args(hint)
    inner = arguments[0] if get_origin(hint) is tuple else arguments[1] if get_origin(hint) is Mapping else hint
    return inner if isinstance(inner, type) and issubclass(inner, Struct) else None


def _nearest(name: str, prefix: str, siblings: list[str]) -> str:
    """The valid key that was most likely meant: a sibling spelt alike, the same name elsewhere, or the closest sibling."""
    if close := get_close_matches(name, siblings, 1):
        return prefix + close[0]
    every = list(keys())
    if elsewhere := [key for key in every if key.rpartition(".")[2] == name]:
        return elsewhere[0]
    return prefix + get_close_matches(name, siblings, 1, 0.0)[0]
