"""What the lists say of an address or a domain, and of the domain's mail servers."""

import asyncio
import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from resolverd import bounds
from resolverd.dnsbl.spec import ListStatus, kind_of
from resolverd.mail.lookups import Clear, Listed, ListReply, Skipped
from resolverd.servers.http.daemon import Daemon
from resolverd.servers.http.mail_servers import mail_servers
from resolverd.servers.http.parameters import Text
from resolverd.servers.http.problems import Problem
from resolverd.servers.http.route import Call, Route
from resolverd.servers.policy.protocol import address_of
from resolverd.wire import names
from resolverd.wire.names import Address

_DOMAIN: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")


class LookupQuestion(msgspec.Struct):
    """`all`: the lists of the catalogue that are not enabled are asked too, as far as that may be. `list`: this one is asked
    alone (by id), enabled or not, and a domain's mail servers are left aside."""

    subject: str
    all: bool = False
    list: Text = ""


class ListAnswer(msgspec.Struct):
    """One list, and what it says: codes, addresses, weight, reason and link where it lists; why it is unknown where it is.

    One that is skipped was not asked, and `detail` says why.
    """

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


class Said(msgspec.Struct):
    """What every list says of a subject; `listed` counts block lists whose listing weighs something."""

    subject: str
    listed: int
    allowed: int
    unknown: int
    lists: list[ListAnswer]


class MailServer(msgspec.Struct):
    """A mail server of the domain, its preference (null where the domain has no MX records), and what the lists say of its
    addresses."""

    name: str
    preference: int | None
    addresses: list[Said]


class Lookup(Said):
    """What every list says of a subject, and of the mail servers of a domain; `mail`: why there are none here, or not all."""

    mail_servers: list[MailServer]
    mail: str


async def get_lookup(call: Call, given: LookupQuestion) -> Lookup:
    """What every list says of an address or a domain, and of the addresses of the domain's mail servers.

    Each list is asked within its rate and quota, of which the last tenth is left for mail. What has not come after some seconds
    is unknown. Lists that are not enabled are asked with `all` unless they want a key or a registration, or their terms forbid
    it; two such look-ups may go on at once.
    """
    if given.list:
        return await _one(call.daemon, given.subject, given.list)
    if not given.all:
        return await lookup(call.daemon, given.subject)
    on_demand = call.daemon.lists.on_demand
    if on_demand.locked():
        raise Problem(429, "all lists are being asked for others; try again in a moment", headers={"Retry-After": "5"})
    async with on_demand:
        return await lookup(call.daemon, given.subject, everything=True)


async def lookup(daemon: Daemon, text: str, *, everything: bool = False) -> Lookup:
    """What every list says of this subject. Raises Problem."""
    subject = _subject(text)
    if not isinstance(subject, str):
        return Lookup(**msgspec.structs.asdict(await _said(daemon, subject, everything=everything)), mail_servers=[], mail="")
    deadline = daemon.clock.monotonic() + bounds.LOOKUP_TIME
    said, found = await asyncio.gather(
        _said(daemon, subject, everything=everything), mail_servers(daemon.names, subject, deadline)
    )
    addresses = list(dict.fromkeys(address for server in found.servers for address in server.addresses))
    of_addresses = await asyncio.gather(*(_said(daemon, address, everything=everything) for address in addresses))
    by_address = dict(zip(addresses, of_addresses, strict=True))
    servers = [
        MailServer(server.name, server.preference, [by_address[address] for address in server.addresses])
        for server in found.servers
    ]
    return Lookup(**msgspec.structs.asdict(said), mail_servers=servers, mail=found.note)


async def _one(daemon: Daemon, text: str, name: str) -> Lookup:
    """What one list says of a subject. Raises Problem."""
    subject = _subject(text)
    if name in daemon.not_asked:
        raise Problem(400, f"list: {name} is not to be asked: {daemon.not_asked[name]}")
    if name not in daemon.lists.known:
        raise Problem(400, "list: no list of this name is known")
    deadline = daemon.clock.monotonic() + daemon.deadline
    replies = await daemon.lists.ask_all(subject, deadline=deadline, background=True, besides={name}, only=name)
    return Lookup(**msgspec.structs.asdict(_told(daemon, subject, replies)), mail_servers=[], mail="")


async def _said(daemon: Daemon, subject: Address | str, *, everything: bool) -> Said:
    patience = max(daemon.deadline, bounds.LOOKUP_TIME) if everything else daemon.deadline
    wanted = daemon.lists.known.keys() - daemon.not_asked.keys() if everything else frozenset[str]()
    deadline = daemon.clock.monotonic() + patience
    replies = await daemon.lists.ask_all(subject, deadline=deadline, background=True, besides=wanted)
    said = _told(daemon, subject, replies)
    if everything:
        said.lists += _unasked(daemon, subject, {each.id for each in said.lists})
    return said


def _told(daemon: Daemon, subject: Address | str, replies: Mapping[str, ListReply | Skipped]) -> Said:
    """What lists have said."""
    lists = [ListAnswer.of(status, replies[status.id]) for status in daemon.lists.statuses() if status.id in replies]
    return Said(
        str(subject),
        listed=sum(each.result == "listed" and each.purpose == "block" and each.weight != 0 for each in lists),
        allowed=sum(each.result == "listed" and each.purpose == "allow" for each in lists),
        unknown=sum(each.result == "unknown" for each in lists),
        lists=lists,
    )


def _unasked(daemon: Daemon, subject: Address | str, asked: Iterable[str]) -> list[ListAnswer]:
    """The lists of the catalogue that are for such a subject and are not asked, and why."""
    entries = daemon.catalogue.entries
    return [
        ListAnswer(name, name, entries[name].purpose, "skipped", detail=why)
        for name, why in daemon.not_asked.items()
        if name not in asked and kind_of(subject) in entries[name].kinds
    ]


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


ROUTES = (Route("GET", "/v1/lookup/{subject}", get_lookup, "lookup", costs=True, problems=(429,)),)
