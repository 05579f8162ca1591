"""What is remembered of names, as lines that people can read, and taken up again from them.

A dump holds RRsets and denials; delegations, what is known of servers and what lists have answered are not in it, nor is any name
with a key of a list in it. What is loaded is believed as it stands there, as secure as it says: who may load may change every
answer, so it takes the token, or the socket for commands. What is known and more trusted stays (RFC 2181 §5.4.1).
"""

import asyncio
from typing import Annotated, Any, Final, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from resolverd import bounds
from resolverd.resolver.cache.entries import NAME_DENIED, Cached
from resolverd.resolver.local.presentation import record_from, record_text
from resolverd.servers.http.auth import SECURITY_HEADERS
from resolverd.servers.http.daemon import Daemon
from resolverd.servers.http.route import Body, Call, Route
from resolverd.wire import codes, names
from resolverd.wire.names import Name
from resolverd.wire.redact import Redactor
from resolverd.wire.rrset import RRset, Security, Trust

_TURN: Final = 20
"""Names written or taken up in one go, some milliseconds."""

Records = Annotated[list[str], Meta(max_length=2000)]


class DumpedRRset(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An RRset in presentation form, with the RRSIGs that cover it; `security` is what DNSSEC says of it."""

    name: str
    type: str
    ttl: int
    security: str
    records: Records
    signatures: Records = []


class DumpedEntry(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is remembered of a name and type: ``data``, or that there is no such type (``NODATA``) or no such name (``NXDOMAIN``).

    `ttl`: seconds still to live, negative when stale. `age`: seconds since it was learnt. `trust`: where it came from, as in
    `GET /v1/cache/{name}`. `lease`: seconds for which it counts as an address of a server, null without end.
    `authority`: what is beside it, the SOA of a denial and proofs.
    """

    name: str
    type: str
    ttl: int
    kind: Literal["data", "NODATA", "NXDOMAIN"]
    security: str
    trust: str
    age: int = 0
    lease: int | None = None
    records: Records = []
    signatures: Records = []
    authority: Annotated[list[DumpedRRset], Meta(max_length=50)] = []


class Entries(msgspec.Struct):
    """Entries of a dump. Each is looked at for itself."""

    entries: list[Any]


class FaultyEntry(msgspec.Struct):
    """The `number` of an entry that is not taken, from 0 on, and why."""

    number: int
    fault: str


class Loaded(msgspec.Struct):
    """How many entries were taken, how many have expired, and which are faulty."""

    taken: int
    expired: int
    faults: list[FaultyEntry]


async def dump_cache(call: Call) -> web.StreamResponse:
    """All RRsets and denials, an entry a line, as they are when their turn comes."""
    daemon = call.daemon
    redactor = Redactor(daemon.key_zones)
    response = web.StreamResponse(headers={**SECURITY_HEADERS, "Content-Type": "application/x-ndjson"})
    await response.prepare(call.request)
    held = daemon.resolver.rrsets.names()
    for start in range(0, len(held), _TURN):
        lines: list[bytes] = []
        now = daemon.clock.monotonic()
        for name in held[start : start + _TURN]:
            if redactor.is_private(name):
                continue
            for rtype, entry in (daemon.resolver.rrsets.peek(name) or {}).items():
                try:
                    lines += (msgspec.json.encode(_dumped(name, rtype, entry, now)), b"\n")
                except ValueError:
                    continue  # malformed data, which servers may send
        await response.write(b"".join(lines))
        await asyncio.sleep(0)
    await response.write_eof()
    return response


async def load_cache(call: Call, given: Entries) -> Loaded:
    """Take up entries of a dump; a faulty one costs itself alone."""
    faults: list[FaultyEntry] = []
    taken = expired = 0
    for number, each in enumerate(given.entries):
        if number % _TURN == _TURN - 1:
            await asyncio.sleep(0)
        try:
            if _load(call.daemon, msgspec.convert(each, DumpedEntry)):
                taken += 1
            else:
                expired += 1
        except ValueError as error:  # msgspec.ValidationError is one
            faults.append(FaultyEntry(number, str(error)))
    return Loaded(taken, expired, faults)


def _dumped(name: Name, rtype: int, entry: Cached, now: float) -> DumpedEntry:
    rrset = entry.rrset
    return DumpedEntry(
        name=names.to_text(name),
        type="ANY" if rtype == NAME_DENIED else codes.type_text(rtype),
        ttl=int(entry.expires - now),
        kind="data" if rrset is not None else "NXDOMAIN" if entry.denies_name else "NODATA",
        security=entry.security.name.lower(),
        trust=entry.trust.name.lower(),
        age=int(now - entry.stored),
        lease=None if entry.lease == float("inf") else int(entry.lease - now),
        records=[] if rrset is None else [record_text(rtype, each) for each in rrset.rdatas],
        signatures=[] if rrset is None else [record_text(codes.RRSIG, each) for each in rrset.sigs],
        authority=[_dumped_rrset(each) for each in entry.authority],
    )


def _dumped_rrset(rrset: RRset) -> DumpedRRset:
    return DumpedRRset(
        name=names.to_text(rrset.owner),
        type=codes.type_text(rrset.rtype),
        ttl=rrset.ttl,
        security=rrset.security.name.lower(),
        records=[record_text(rrset.rtype, each) for each in rrset.rdatas],
        signatures=[record_text(codes.RRSIG, each) for each in rrset.sigs],
    )


def _load(daemon: Daemon, entry: DumpedEntry) -> bool:
    """Take up an entry; whether it still lives. Raises ValueError."""
    name = names.lower(names.from_text(entry.name))
    if Redactor(daemon.key_zones).is_private(name):
        raise ValueError("name: has the key of a list in it")
    rtype = codes.type_from_text(entry.type)
    if rtype == NAME_DENIED:
        raise ValueError("type: there is none of that number")
    if entry.ttl > bounds.CACHE_ROW_LIFETIME:
        raise ValueError(f"ttl: {bounds.CACHE_ROW_LIFETIME:.0f} at most")
    trust, security = _trust(entry.trust), _security(entry.security)
    authority = tuple(_rrset(each.name, each) for each in entry.authority)
    if (entry.kind == "data") != bool(entry.records):
        raise ValueError("records: expected with kind data, and with no other")
    if rtype == codes.ANY and entry.kind != "NXDOMAIN":
        raise ValueError("type: ANY is for NXDOMAIN alone")
    rrset = None if entry.kind != "data" else _rrset(entry.name, entry)
    if entry.ttl <= 0:
        return False
    rrsets, now = daemon.resolver.rrsets, daemon.clock.monotonic()
    if rrset is not None:
        lease = float("inf") if entry.lease is None else now + entry.lease
        rrsets.put(rrset, trust, now, name, authority, lease)
    else:
        denies_name = entry.kind == "NXDOMAIN"
        rrsets.put_negative(name, rtype, entry.ttl, authority, trust, now, nxdomain=denies_name, security=security)
    return True


def _rrset(name: str, given: DumpedRRset | DumpedEntry) -> RRset:
    rtype = codes.type_from_text(given.type)
    try:
        rdatas = tuple(record_from(rtype, each) for each in given.records)
    except ValueError as error:
        raise ValueError(f"records: {error}") from None
    try:
        sigs = tuple(record_from(codes.RRSIG, each) for each in given.signatures[: bounds.MAX_SIGNATURES])
    except ValueError as error:
        raise ValueError(f"signatures: {error}") from None
    return RRset(names.from_text(name), rtype, max(0, given.ttl), rdatas, sigs, _security(given.security))


def _trust(text: str) -> Trust:
    """Where something came from; local data is never in the cache."""
    known = {each.name.lower(): each for each in Trust if each is not Trust.LOCAL}
    if text not in known:
        raise ValueError(f"trust: expected one of {', '.join(known)}")
    return known[text]


def _security(text: str) -> Security:
    known = {each.name.lower(): each for each in Security if each is not Security.BOGUS}
    if text not in known:
        raise ValueError(f"security: expected one of {', '.join(known)}")
    return known[text]


ROUTES = (
    Route("GET", "/v1/cache-dump", dump_cache),
    Route("POST", "/v1/cache-dump", load_cache, body=Body.ONLY),
)
