"""What lists say today, asked for a replay through the running daemon: within their rates, and leaving mail its reserve."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from typing import Any, Final

from resolverd.cli.daemon import DaemonClient, Refused
from resolverd.dnsbl.response import read_addresses
from resolverd.dnsbl.spec import ListSpec
from resolverd.failures import Unknown, Why
from resolverd.mail.lookups import Clear, ListLookup, LookupReply, Question
from resolverd.ops.replay.judge import Configuration

_SPENT: Final = (Why.QUOTA, Why.BLOCKED, Why.UNHEALTHY, Why.REFUSED)
"""Why a list is not asked any more."""


class Counting:
    """Asks nobody, and counts what would be asked; `limit` questions at the most."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.wanted: dict[ListLookup, None] = {}

    def __call__(self, lookups: Sequence[ListLookup], configuration: Configuration) -> Mapping[Question, LookupReply]:
        """Nothing."""
        for lookup in lookups:
            if len(self.wanted) < self._limit:
                self.wanted[lookup] = None
        return {}

    def costs(self) -> dict[str, int]:
        """Questions by list."""
        found: dict[str, int] = {}
        for lookup in self.wanted:
            found[lookup.list_id] = found.get(lookup.list_id, 0) + 1
        return found


class Asking:
    """Asks the daemon what was counted, each question once; `given_up`: lists that are asked no more, and why."""

    def __init__(self, daemon: DaemonClient, wanted: Mapping[ListLookup, None]) -> None:
        self._daemon = daemon
        self._wanted = wanted
        self._known: dict[ListLookup, dict[str, Any] | None] = {}
        self.given_up: dict[str, str] = {}

    def ask(self, lookup: ListLookup) -> None:
        """Have the answer, unless the list has been given up."""
        if lookup.list_id in self.given_up:
            return
        try:
            found = self._daemon.get("v1", "lookup", str(lookup.subject), query={"list": lookup.list_id})["lists"]
        except Refused as refusal:
            self.given_up[lookup.list_id] = str(refusal)
            return
        answer = self._known[lookup] = found[0] if found else None
        if answer is not None and answer["result"] == "unknown" and answer["why"] in _SPENT:
            self.given_up[lookup.list_id] = f"{answer['why']}: {answer['detail']}"

    def __call__(self, lookups: Sequence[ListLookup], configuration: Configuration) -> Mapping[Question, LookupReply]:
        """What was said, as the lists of a configuration mean it."""
        by_id = {spec.id: spec for spec in configuration.lists.values()}
        return {
            lookup: reply
            for lookup in lookups
            if (answer := self._known.get(lookup)) is not None
            and not isinstance(reply := _reply(by_id[lookup.list_id], lookup, answer), Unknown)
        }


def _reply(spec: ListSpec, lookup: ListLookup, answer: dict[str, Any]) -> LookupReply:
    if answer["result"] == "listed":
        return read_addresses(spec, lookup.subject, tuple(IPv4Address(each).packed for each in answer["addresses"]))
    if answer["result"] == "clear":
        return Clear(spec.id, 0)
    return Unknown(Why.FAILED)
