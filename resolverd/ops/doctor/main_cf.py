"""Postfix's parameters and services as main.cf and master.cf have them (postconf(5), master(5)).

What stands in neither has Postfix's default, where a finding depends on it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

from resolverd.overrides.map_text import logical_lines

_DEFAULTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "compatibility_level": "0",
        "postscreen_dnsbl_action": "ignore",
        "postscreen_dnsbl_threshold": "1",
        "queue_directory": "/var/spool/postfix",
        "smtpd_delay_reject": "yes",
        "smtpd_helo_required": "no",
        "smtpd_policy_service_default_action": "451 4.3.5 Server configuration problem",
        "smtpd_policy_service_timeout": "100s",
        "smtpd_relay_before_recipient_restrictions": "${{$compatibility_level} <level {3.6} ? {no} : {yes}}",
        "smtpd_relay_restrictions":
            "${{$compatibility_level} <level {1} ?"
            " {} : {permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination}}",
    }
)  # fmt: skip
_ASSIGNMENT = re.compile(r"\s*([A-Za-z0-9_.:/-]+)\s*=\s*(.*)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9_.]+")
_COMPARISON = re.compile(r"\{(.*?)\}\s*(==|!=|<=|>=|<level|<=level|>level|>=level|==level|!=level|<|>)\s*\{(.*?)\}\s*", re.DOTALL)
_WHOLE = re.compile(r"[0-9]{1,18}")
_CLOSING = {"{": "}", "(": ")"}


class Service(NamedTuple):
    """A service of master.cf: its name (host and port for `kind` inet), whether it is chrooted, and its own parameters."""

    name: str
    kind: str
    chroot: bool
    command: str
    parameters: Mapping[str, str]

    @property
    def port(self) -> str:
        """The port or its name, without the address."""
        return self.name.rpartition(":")[2]


@dataclass(frozen=True)
class Postfix:
    """Parameters as written, unexpanded, and services."""

    parameters: Mapping[str, str]
    services: tuple[Service, ...] = field(default=())

    def value(self, name: str, service: Service | None = None) -> str:
        """A parameter with all that it names put in its place; of a service, with its own ``-o`` first. Empty if not set."""
        return _expanded(f"${{{name}}}", self._scope(service), frozenset()).strip()

    def _scope(self, service: Service | None) -> Mapping[str, str]:
        own = service.parameters if service is not None else {}
        return {**_DEFAULTS, **self.parameters, **own}

    def isset(self, name: str) -> bool:
        """Whether main.cf has the parameter."""
        return name in self.parameters

    @property
    def level(self) -> tuple[int, ...]:
        """compatibility_level, as numbers."""
        return _level(self.value("compatibility_level"))

    @property
    def queue_directory(self) -> str:
        """Where chrooted services find themselves."""
        return self.value("queue_directory")

    def public(self) -> Iterator[Service]:
        """The smtpd services that strangers reach: on port 25, or behind postscreen."""
        found = [
            each for each in self.services if each.command == "smtpd" and (each.kind == "pass" or each.port in ("smtp", "25"))
        ]
        yield from found or [Service("smtp", "inet", False, "smtpd", {})]

    def has_postscreen(self) -> bool:
        """Whether postscreen stands in front."""
        return any(each.command == "postscreen" for each in self.services)


def read(main: str, master: str = "") -> Postfix:
    """What the two files say. Lines that Postfix would not accept are left out: `postfix check` names those."""
    parameters: dict[str, str] = {}
    for _, line in logical_lines(main):
        if (match := _ASSIGNMENT.fullmatch(line)) is not None and not line[0].isspace():
            parameters[match[1]] = match[2].strip()
    postfix = Postfix(parameters)
    return Postfix(parameters, tuple(_services(master, chrooted_by_default=postfix.level < (1,))))


def _services(master: str, *, chrooted_by_default: bool) -> Iterator[Service]:
    for _, line in logical_lines(master):
        fields = words(line, " \t\r\n")
        if len(fields) < 8:
            continue
        name, kind, _, _, chroot, _, _, command, *arguments = fields
        yield Service(name, kind, chroot == "y" or (chroot == "-" and chrooted_by_default), command, dict(_options(arguments)))


def _options(arguments: list[str]) -> Iterator[tuple[str, str]]:
    """The ``-o name=value``, ``-oname=value`` and ``-o { name = value }`` of a service."""
    rest = iter(arguments)
    for word in rest:
        if not word.startswith("-o"):
            continue
        text = word[2:] or next(rest, "")
        if text.startswith("{") and text.endswith("}"):
            text = text[1:-1].strip()
        if (match := _ASSIGNMENT.fullmatch(text)) is not None:
            yield match[1], match[2].strip()


def words(text: str, separators: str = ", \t\r\n") -> list[str]:
    """The words of a value; what stands in braces is one, braces included (mystrtokq(3) of Postfix)."""
    found, word, depth = [], "", 0
    for char in text:
        depth += (char == "{") - (char == "}" and depth > 0)
        if depth == 0 and char in separators:
            if word:
                found.append(word)
            word = ""
        else:
            word += char
    return [*found, word] if word else found


def _expanded(text: str, scope: Mapping[str, str], within: frozenset[str]) -> str:
    """`text` with each ``$name``, ``${name}``, ``${name?yes:no}``, ``${{a} == {b} ? {yes} : {no}}`` in `scope` replaced.

    `within`: the parameters whose values are being expanded; one that names itself is empty there.
    """
    done, at = "", 0
    while (dollar := text.find("$", at)) >= 0:
        done += text[at:dollar]
        at = dollar + 1
        following = text[at : at + 1]
        if following == "$":
            done, at = done + "$", at + 1
        elif following in _CLOSING:
            end = _closed(text, at)
            done += _looked_up(text[at + 1 : end], scope, within)
            at = end + 1
        elif (name := _NAME.match(text, at)) is not None:
            done += _named(name.group(), scope, within)
            at = name.end()
    return done + text[at:]


def _closed(text: str, start: int) -> int:
    """Where the bracket at `start` is closed; the end of the text if it is not."""
    opening, closing, depth = text[start], _CLOSING[text[start]], 0
    for at in range(start, len(text)):
        depth += (text[at] == opening) - (text[at] == closing)
        if not depth:
            return at
    return len(text)


def _named(name: str, scope: Mapping[str, str], within: frozenset[str]) -> str:
    return "" if name in within else _expanded(scope.get(name, ""), scope, within | {name})


def _looked_up(inside: str, scope: Mapping[str, str], within: frozenset[str]) -> str:
    if inside.lstrip().startswith("{"):
        match = _COMPARISON.match(inside.strip())
        if match is None:
            return ""
        left, right = (_expanded(side, scope, within).strip() for side in (match[1], match[3]))
        rest, holds = inside.strip()[match.end() :], _holds(left, match[2], right)
    else:
        name = _NAME.match(inside)
        if name is None:
            return ""
        rest = inside[name.end() :].lstrip()
        value = _named(name.group(), scope, within)
        if not rest:
            return value
        holds = bool(value)
    return _expanded(_chosen(rest, holds), scope, within)


def _chosen(rest: str, holds: bool) -> str:
    """Of ``?yes``, ``:no`` or ``?{yes}:{no}`` the one that counts."""
    if rest.startswith(":"):
        return "" if holds else _unbraced(rest[1:])
    yes = rest[1:].lstrip()
    no = ""
    if yes.startswith("{"):
        end = _closed(yes, 0)
        yes, after = yes[: end + 1], yes[end + 1 :].lstrip()
        no = _unbraced(after[1:]) if after.startswith(":") else ""
    return _unbraced(yes) if holds else no


def _unbraced(text: str) -> str:
    text = text.strip()
    return text[1:-1].strip() if text.startswith("{") and text.endswith("}") else text


def _holds(left: str, comparison: str, right: str) -> bool:
    operator = comparison.removesuffix("level")
    if comparison.endswith("level"):
        order = (_level(left) > _level(right)) - (_level(left) < _level(right))
    elif _WHOLE.fullmatch(left) and _WHOLE.fullmatch(right):
        order = (int(left) > int(right)) - (int(left) < int(right))
    else:
        order = (left > right) - (left < right)
    return {"==": order == 0, "!=": order != 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[operator]


def _level(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d{1,9}", text)) or (0,)
