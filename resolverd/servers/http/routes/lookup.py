"""What the lists say of an address or a domain."""

import re
from typing import Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from resolverd.dnsbl.spec import ListStatus
from resolverd.mail.lookups import Clear, Listed, ListReply, Skipped
from resolverd.servers.http.daemon import Daemon
from resolverd.servers.http.problems import Problem
from resolverd.servers.http.route import Call, Route
from resolverd.servers.policy.protocol import address_of
from resolverd.wire import names
from resolverd.wire.names import Address

_DOMAIN: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")


class ListAnswer(msgspec.Struct):
    """One list, and what it says: codes, addresses, weight, reason and link where it lists; why it is unknown where it is."""

    id: str
    list: str
    purpose: str
    result: Literal["listed", "clear", "unknown", "skipped"]
    why: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    codes: tuple[str, ...] | UnsetType = UNSET
    addresses: tuple[str, ...] | UnsetType = UNSET
    weight: float | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    link: str | UnsetType | None = UNSET
    ttl: int | UnsetType = UNSET
    age: int | UnsetType = UNSET
    ms: int | UnsetType = UNSET

    @classmethod
    def of(cls, status: ListStatus, reply: ListReply | Skipped) -> "ListAnswer":
        """As JSON has it."""
        said = cls(status.id, status.shown, status.purpose, "skipped")
        if isinstance(reply, Skipped):
            return said
        if isinstance(reply, Listed):
            said.result, said.codes, said.addresses, said.weight = "listed", reply.codes, reply.addresses, reply.weight
            said.reason, said.link = reply.reason, reply.link or None
        elif isinstance(reply, Clear):
            said.result = "clear"
        else:
            said.result, said.why, said.detail = "unknown", reply.why.value, reply.detail
            return said
        said.ttl, said.age, said.ms = reply.ttl, reply.age, reply.ms
        return said


class Lookup(msgspec.Struct):
    """What every list says of a subject; `listed` counts block lists whose listing weighs something."""

    subject: str
    listed: int
    allowed: int
    unknown: int
    lists: list[ListAnswer]


async def get_lookup(call: Call) -> Lookup:
    """What every list says of an address or a domain."""
    return await lookup(call.daemon, call.path["subject"])


async def lookup(daemon: Daemon, text: str) -> Lookup:
    """What every list says of this subject. Raises Problem."""
    subject = _subject(text)
    deadline = daemon.clock.monotonic() + daemon.deadline
    replies = await daemon.lists.ask_all(subject, deadline=deadline, background=True)
    lists = [ListAnswer.of(status, replies[status.id]) for status in daemon.lists.statuses() if status.id in replies]
    return Lookup(
        str(subject),
        listed=sum(each.result == "listed" and each.purpose == "block" and each.weight != 0 for each in lists),
        allowed=sum(each.result == "listed" and each.purpose == "allow" for each in lists),
        unknown=sum(each.result == "unknown" for each in lists),
        lists=lists,
    )


def _subject(text: str) -> Address | str:
    """An address, or a domain name in lower case as A-labels. Raises Problem."""
    if (address := address_of(text)) is not None:
        return address
    try:
        name = names.to_text(names.lower(names.from_text(text))).removesuffix(".")
    except names.BadName:
        name = ""
    if not _DOMAIN.fullmatch(name) or name.rpartition(".")[2].isdigit():
        raise Problem(400, f"{text[:100]!r} is neither an IP address nor a domain name")
    return name


ROUTES = (Route("GET", "/v1/lookup/{subject}", get_lookup, "lookup", costs=True),)
