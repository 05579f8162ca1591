"""The DNS caches, looked into and flushed; and a resolution past them, shown step by step."""

import asyncio
import contextlib
from typing import Final

import msgspec

from resolverd.servers.http.daemon import Daemon
from resolverd.servers.http.parameters import Text
from resolverd.servers.http.problems import Problem
from resolverd.servers.http.route import Call, Route
from resolverd.wire import codes, names, rdata
from resolverd.wire.names import Name
from resolverd.wire.redact import Redactor
from resolverd.wire.rrset import Security

_SWEPT: Final = 1000
"""Names gone through in one turn of a flush, about a millisecond."""
_DISK: Final = 5.0
"""Seconds for which a flush waits for the disk."""


class CacheFigures(msgspec.Struct):
    """Entries of the caches, and the octets that they take."""

    packets: int
    packet_bytes: int
    records: int
    record_bytes: int
    delegations: int
    delegation_bytes: int
    servers: int


class CacheEntry(msgspec.Struct):
    """An RRset or denial in presentation form; `ttl` in seconds still to live, negative when stale.

    `records` is empty for a denial, whose `kind` is then NXDOMAIN or NODATA; otherwise `kind` is the trust it is held in.
    `why`: why it is insecure, where that is so by a negative trust anchor.
    """

    name: str
    type: str
    ttl: int
    kind: str
    security: str
    records: list[str]
    why: str | None


class CacheEntries(msgspec.Struct):
    """What is held of a name."""

    entries: list[CacheEntry]


class FlushedName(msgspec.Struct):
    """The name to forget, and whether all names below it are forgotten too."""

    name: Text
    below: bool = False


class Flushed(msgspec.Struct):
    """How many RRsets, denials and replies of lists were forgotten, with `below` delegations too.

    What stood on disk alone is forgotten and not counted.
    """

    flushed: int


class Exchange(msgspec.Struct):
    """One exchange of a resolution: the zone whose server was asked, what, and what came of it."""

    zone: str
    server: str
    name: str
    type: str
    outcome: str
    ms: int


class Link(msgspec.Struct):
    """A zone in the chain of trust: ``secure``, ``insecure`` or ``bogus``, and why; the DS and the keys that were seen of it."""

    zone: str
    security: str
    why: str | None
    ds: list[str]
    keys: list[str]


class Trace(msgspec.Struct):
    """How a name is resolved, from the root downwards: the exchanges, the chain of trust, and the answer with its reasons.

    `security` is what DNSSEC says of the answer: ``secure``, ``insecure``, ``bogus``; ``unknown`` where nothing is validated.
    """

    rcode: str
    security: str
    records: list[str]
    reasons: list[str]
    chain: list[Link]
    ms: int
    exchanges: list[Exchange]


def figures(daemon: Daemon) -> CacheFigures:
    """What the caches hold at the moment."""
    parts = daemon.resolver
    return CacheFigures(
        packets=len(parts.packets),
        packet_bytes=parts.packets.size,
        records=len(parts.rrsets),
        record_bytes=parts.rrsets.size,
        delegations=len(parts.delegations),
        delegation_bytes=parts.delegations.size,
        servers=len(parts.infra),
    )


async def get_cache_stats(call: Call) -> CacheFigures:
    """Figures of the caches."""
    return figures(call.daemon)


async def get_cache(call: Call) -> CacheEntries:
    """What the cache holds of a name."""
    daemon, name, rtype = call.daemon, _name(call.path["name"]), _one_type(call)
    rrsets, now = daemon.resolver.rrsets, daemon.clock.monotonic()
    shown = Redactor(daemon.key_zones).text(name)
    trust = daemon.resolver.trust
    why = trust.exempted(name) if trust is not None else None
    found = []
    for each in [rtype] if rtype is not None else sorted(rrsets.types(name, now)):
        hit = rrsets.get(name, each, now)
        if hit is None:
            continue
        if (rrset := hit.rrset) is not None:
            records = [rdata.summary(each, data) for data in rrset.rdatas]
            ttl, kind = rrset.ttl, hit.trust.name.lower()
        else:
            records = []
            ttl, kind = min((proof.ttl for proof in hit.authority), default=0), "NXDOMAIN" if hit.denies_name else "NODATA"
        security = hit.security.name.lower()
        insecure = hit.security is Security.INSECURE
        found.append(CacheEntry(shown, codes.type_text(each), ttl, kind, security, records, why if insecure else None))
    return CacheEntries(found)


async def flush_cache(call: Call) -> Flushed:
    """Forget everything."""
    return await _forgotten(call.daemon, None)


async def flush_type(call: Call) -> Flushed:
    """Forget what is known of a name and type."""
    return await _forgotten(call.daemon, _name(call.path["name"]), _one_type(call))


async def flush_name(call: Call, given: FlushedName) -> Flushed:
    """Forget a name, or all names at and below it."""
    daemon, name = call.daemon, _name(given.name)
    if not given.below:
        return await _forgotten(daemon, name)
    count = daemon.lists.flush(name, below=True)
    sweep = daemon.resolver.flush_below(name)
    while not sweep.ended and daemon.resolver.sweep(_SWEPT):  # noqa: ASYNC110 (it is work, not waiting)
        await asyncio.sleep(0)
    await _written(daemon)
    return Flushed(count + sweep.count)


async def _forgotten(daemon: Daemon, name: Name | None, rtype: int | None = None) -> Flushed:
    count = daemon.lists.flush(name, rtype) + daemon.resolver.flush(name, rtype)
    while name is None and daemon.resolver.sweep(_SWEPT):  # noqa: ASYNC110 (it is work, not waiting)
        await asyncio.sleep(0)
    await _written(daemon)
    return Flushed(count)


async def _written(daemon: Daemon) -> None:
    """What was forgotten is not on disk any more, unless the disk hangs."""
    if daemon.write_cache is not None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DISK):
                await daemon.write_cache()


async def get_trace(call: Call) -> Trace:
    """How a name is resolved, from the root downwards, past the caches."""
    return await trace(call.daemon, call.path["name"], call.path["type"])


async def trace(daemon: Daemon, name: str, rtype: str) -> Trace:
    """How a name is resolved. Nothing is remembered but how the servers fare. Raises Problem."""
    begun = daemon.clock.monotonic()
    wanted = _name(name)
    answer, steps, links = await daemon.resolver.mesh.own.trace(wanted, _type(rtype))
    redactor = Redactor(daemon.key_zones)
    shown = redactor.text
    # In the words may be any name on the way to one with a key in it.
    private = redactor.is_private(wanted)
    return Trace(
        rcode=codes.rcode_text(answer.rcode),
        security=answer.security.name.lower(),
        records=[
            f"{shown(rrset.owner)} {rrset.ttl} {codes.type_text(rrset.rtype)} {rdata.summary(rrset.rtype, data)}"
            for rrset in (*answer.answer, *answer.authority)
            for data in rrset.rdatas
        ],
        reasons=[error.text for error in answer.errors if error.text],
        chain=[
            Link(
                zone=shown(link.zone),
                security=link.security.name.lower(),
                why=link.text if link.text and not private else None,
                ds=list(link.ds),
                keys=list(link.keys),
            )
            for link in links
        ],
        ms=_ms(daemon.clock.monotonic() - begun),
        exchanges=[
            Exchange(
                zone=shown(step.zone),
                server=str(step.ask.server),
                name=shown(step.ask.qname),
                type=codes.type_text(step.ask.qtype),
                outcome=step.outcome,
                ms=_ms(step.reply.rtt),
            )
            for step in steps
        ],
    )


def _name(text: str) -> Name:
    """A name in lower case; the root is written ``@``, as a dot vanishes from a path."""
    try:
        return names.lower(names.from_text("." if text == "@" else text))
    except names.BadName as error:
        raise Problem(400, f"{text[:100]!r} is no domain name: {error}") from None


def _one_type(call: Call) -> int | None:
    return _type(call.path["type"]) if "type" in call.path else None


def _type(text: str) -> int:
    try:
        return codes.type_from_text(text)
    except ValueError:
        raise Problem(400, f"{text[:100]!r} is no RR type") from None


def _ms(seconds: float) -> int:
    return round(1000 * seconds)


ROUTES = (
    Route("GET", "/v1/cache", get_cache_stats, "cache"),
    Route("DELETE", "/v1/cache", flush_cache),
    Route("GET", "/v1/cache/{name}", get_cache, "cache"),
    Route("DELETE", "/v1/cache/{name}", flush_name),
    Route("GET", "/v1/cache/{name}/{type}", get_cache, "cache"),
    Route("DELETE", "/v1/cache/{name}/{type}", flush_type),
    Route("GET", "/v1/trace/{name}/{type}", get_trace, "trace", costs=True),
)
