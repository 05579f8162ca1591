"""Macro strings (RFC 7208 §7): read, and expanded with the values of one check."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import quote

from resolverd import bounds
from resolverd.wire.names import Address, BadName, Name, from_labels, lower

_TOKEN = re.compile(r"%\{([slodiphcrtv])([0-9]*)(r?)([-.+,/_=]*)\}|%([%_-])|([^%]+)", re.IGNORECASE)
_ESCAPED: Final = {"%": "%", "_": " ", "-": "%20"}
_TOPLABEL = re.compile(r"[a-z0-9]*[a-z][a-z0-9]*|[a-z0-9]+-[a-z0-9-]*[a-z0-9]", re.IGNORECASE)
_EXPLANATION_ONLY: Final = frozenset("crt")
_MANY: Final = 128
"""As many parts as no name has (§7.3 wants 128 at least to be understood)."""
MAX_DOMAIN: Final = 253
"""Characters of an expanded domain; labels on the left are given up for it (§7.3)."""


class Macro(NamedTuple):
    """``%{letter digits r delimiters}``: `parts` from the right are kept, 0 for all; `escape`: for a URL."""

    letter: str
    escape: bool = False
    parts: int = 0
    reverse: bool = False
    delimiters: str = ""


MacroString: TypeAlias = tuple[str | Macro, ...]
"""Literal text and macros by turns; what stands for itself (``%%``, ``%_``, ``%-``) is text."""


class BadMacro(ValueError):
    """Text that is no macro string, or no domain-spec; the message says why."""


def read(text: str, *, spaces: bool = False) -> MacroString:
    """A macro string, with `spaces` an explain-string. Raises BadMacro."""
    return tuple(part for part, _ in _tokens(text, spaces))


def read_domain(text: str) -> MacroString:
    """A domain-spec: a macro string that ends in a macro or in a dot and a top label. Raises BadMacro."""
    if len(text) > bounds.MAX_SPF_DOMAIN_SPEC:
        raise BadMacro(f"domain of {len(text)} characters")
    tokens = _tokens(text, False)
    if not tokens:
        raise BadMacro("domain is missing")
    last, literal = tokens[-1]
    if literal and isinstance(last, str):
        _, dot, toplabel = last.removesuffix(".").rpartition(".")
        if not dot or not _TOPLABEL.fullmatch(toplabel):
            raise BadMacro(f"{text} is no domain name")
    parts = tuple(part for part, _ in tokens)
    if wrong := next((part.letter for part in parts if isinstance(part, Macro) and part.letter in _EXPLANATION_ONLY), None):
        raise BadMacro(f"macro {wrong} is for explanations only")
    return parts


def uses(string: MacroString, letters: str) -> bool:
    """Whether one of these macros is in the string."""
    return any(isinstance(part, Macro) and part.letter in letters for part in string)


def expand(string: MacroString, values: Mapping[str, str]) -> str:
    """The string with each macro replaced by its value, transformed as it says (§7.3); a letter without value stays empty."""
    return "".join(part if isinstance(part, str) else _value(part, values.get(part.letter, "")) for part in string)


def fit(domain: str) -> str:
    """An expanded domain without final dot, short enough for a query."""
    domain = domain.removesuffix(".")
    if len(domain) > MAX_DOMAIN:
        _, _, domain = domain[-MAX_DOMAIN - 1 :].partition(".")
    return domain


def name_of(domain: str) -> Name | None:
    """A domain in wire form and lower case, whatever visible characters it has; None if it has none (§4.8)."""
    try:
        return lower(from_labels(domain.removesuffix(".").encode("ascii").split(b".")))
    except (BadName, UnicodeEncodeError):
        return None


def dotted(address: Address) -> str:
    """What ``i`` stands for: an address whose parts can be turned round, nibbles for IPv6."""
    return str(address) if address.version == 4 else ".".join(address.packed.hex().upper())


def _tokens(text: str, spaces: bool) -> list[tuple[str | Macro, bool]]:
    """The parts, each with whether it is literal text."""
    lowest = " " if spaces else "!"
    if not all(lowest <= char <= "~" for char in text):
        raise BadMacro("characters that must not be there")
    tokens: list[tuple[str | Macro, bool]] = []
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise BadMacro(f"bad macro {text[at : at + 20]}")
        at = token.end()
        letter, digits, reverse, delimiters, escaped, literal = token.groups()
        if literal is not None:
            tokens.append((literal, True))
        elif escaped is not None:
            tokens.append((_ESCAPED[escaped], False))
        else:
            tokens.append((Macro(letter.lower(), letter.isupper(), _count(digits), bool(reverse), delimiters), False))
    return tokens


def _count(digits: str) -> int:
    if not digits:
        return 0
    wanted = digits.lstrip("0")
    if not wanted:
        raise BadMacro("a macro of no parts")
    return int(wanted) if len(wanted) <= 3 else _MANY


def _value(macro: Macro, value: str) -> str:
    if macro.parts or macro.reverse or macro.delimiters:
        parts = re.split(f"[{re.escape(macro.delimiters or '.')}]", value)
        if macro.reverse:
            parts.reverse()
        value = ".".join(parts[-macro.parts :])
    return quote(value, safe="-._~") if macro.escape else value
