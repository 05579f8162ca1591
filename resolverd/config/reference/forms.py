"""The types of keys in words."""

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args, get_origin

from msgspec import Struct
from msgspec.structs import fields

from resolverd.config.reader import codec_of, hints_of, without_none
from resolverd.config.types import one_of

_PLAIN: Final[Mapping[Any, tuple[str, str]]] = {bool: ("true or false", ""), str: ("text", "texts")}


def form(hint: Any) -> str:
    """What the values of such a key are."""
    hint = without_none(hint)
    if get_origin(hint) is tuple:
        item = without_none(get_args(hint)[0])
        return f"list of {_many(item)}"
    if get_origin(hint) is Mapping:
        return "table"
    if isinstance(hint, type) and issubclass(hint, Struct):
        parts = [f"`{info.encode_name}` ({form(hints_of(hint)[info.name])})" for info in fields(hint)]
        return f"table with {', '.join(parts)}"
    codec = codec_of(hint)
    if codec is not None:
        return codec.form
    return one_of(get_args(hint)) if get_origin(hint) is Literal else _PLAIN[hint][0]


def _many(hint: Any) -> str:
    codec = codec_of(hint)
    if codec is not None:
        return codec.forms or f"{codec.form}s"
    return ", ".join(f'"{word}"' for word in get_args(hint)) if get_origin(hint) is Literal else _PLAIN[hint][1]
