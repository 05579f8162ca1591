"""Settings back to TOML: the effective configuration, with the sources of its secrets in place of them."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from msgspec import UNSET, Struct
from msgspec.structs import fields

from resolverd.config.settings import Settings
from resolverd.config.types import Codec
from resolverd.values import Value


def render(settings: Settings) -> str:
    """TOML that reads back as these settings; keys that follow the preset stand as comments."""
    lines: list[str] = []
    _table(settings, "", lines)
    return "\n".join(lines).strip("\n") + "\n"


def _table(table: Struct, path: str, lines: list[str]) -> None:
    hints = get_type_hints(type(table), include_extras=True)
    inner: list[tuple[str, Any]] = []
    own: list[str] = []
    for info in fields(table):
        value = getattr(table, info.name)
        if _holds_tables(value):
            inner.append((info.encode_name, value))
        elif isinstance(value, Mapping) and not value and path == "":
            continue
        elif value is None:
            own.append(f"#{info.encode_name} =   # not set")
        elif value is not UNSET:
            own.append(f"{info.encode_name} = {_value(hints[info.name], value)}")
    if own and path:
        lines += ["", f"[{path}]"]
    lines += own
    for name, value in inner:
        below = f"{path}.{_key(name)}" if path else _key(name)
        if _is_table(value):
            _table(value, below, lines)
        elif isinstance(value, Mapping):
            for entry, struct in value.items():
                _table(struct, f"{below}.{_key(entry)}", lines)
        else:
            for struct in value:
                part: list[str] = []
                _table(struct, below, part)
                lines += [line.replace(f"[{below}]", f"[[{below}]]") if line.startswith("[") else line for line in part]


def _holds_tables(value: Any) -> bool:
    entries = list(value.values()) if isinstance(value, Mapping) else value
    return _is_table(value) or (isinstance(entries, list | tuple) and bool(entries) and _is_table(entries[0]))


def _is_table(value: Any) -> bool:
    """Whether it is one of `config.settings`; what is written as text may be a struct as well."""
    return isinstance(value, Struct) and not isinstance(value, Value)


def _value(hint: Any, value: Any) -> str:
    for arm in (hint, *get_args(hint)):
        if get_origin(arm) is Annotated:
            codec = next(extra for extra in arm.__metadata__ if isinstance(extra, Codec))
            return _toml(codec.show(value))
        if get_origin(arm) is tuple and isinstance(value, tuple):
            items = [_value(get_args(arm)[0], item) for item in value]
            return f"[{', '.join(items)}]"
    return _toml(value)


def _toml(value: Any) -> str:
    """A plain value in TOML. JSON's strings are TOML's basic strings, but for DEL."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(name)} = {_toml(item)}" for name, item in value.items()) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if bare else _toml(name)
