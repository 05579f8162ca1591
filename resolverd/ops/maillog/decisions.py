"""Our own line of a decision in each of its forms (`resolverd.logs`), and Postgrey's."""

import json
import re
from collections.abc import Callable
from typing import Final, TypeVar

from resolverd.ops.maillog.records import Decision

Number = TypeVar("Number", int, float)
_ACTIONS: Final = frozenset(("pass", "reject", "defer", "greylist"))
_PAIR: Final = re.compile(r'(?<![a-z_])([a-z_]+)=("(?:[^"\\]|\\.)*"|\S*)')
_QUEUE_ID: Final = re.compile(r"([\w-]{1,64}): (?=action=)", re.ASCII)


def decision(at: int, text: str) -> Decision | None:
    """The record; None where the line is about something else."""
    fields: dict[str, str]
    if text.startswith("{"):
        fields = _json(text)
    elif text.startswith(("time=", "level=")):
        fields = _logfmt(text)
    else:
        fields = _postgrey(text)
    if fields.get("action") not in _ACTIONS:
        return None
    get = fields.get
    return Decision(
        at, fields["action"], get("reason", ""), get("client_name", ""), get("client_address", ""), get("sender", ""),
        get("recipient", ""), get("helo_name", ""), get("queue_id", ""), _number(get("delay"), int), _number(get("score"), float),
        tuple(filter(None, get("codes", "").split("+"))), get("id", ""),
    )  # fmt: skip


def _postgrey(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    if match := _QUEUE_ID.match(text):
        fields["queue_id"] = match[1]
        text = text[match.end() :]
    if not text.startswith("action="):
        return fields
    for part in text.split(", "):
        name, equals, value = part.partition("=")
        # The first of a name counts: in Postgrey's line a sender's comma is a comma, and what it says comes behind ours.
        if equals and name not in fields:
            fields[name] = value
    return fields


def _logfmt(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in _PAIR.findall(text):
        fields.setdefault(name, _unquoted(value) if value.startswith('"') else value)
    return fields


def _unquoted(value: str) -> str:
    try:
        return str(json.loads(value))
    except ValueError:
        return value.strip('"')


def _json(text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {name: str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def _number(text: str | None, kind: Callable[[str], Number]) -> Number | None:
    try:
        return kind(text) if text is not None else None
    except ValueError:
        return None
