"""The form of what is kept of the caches on disk: MessagePack, its times in wall seconds.

A record that is not well-formed, or says what cannot be, is None: it was damaged, or written by another version.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from resolverd import bounds
from resolverd.resolver.cache.delegations import Delegation
from resolverd.resolver.cache.entries import Cached, Types, size_of
from resolverd.resolver.iterator.capabilities import Feature, SupportFact
from resolverd.resolver.iterator.infra import RttFact
from resolverd.wire import rdata
from resolverd.wire.ask import Server
from resolverd.wire.names import Name, address, labels, lower
from resolverd.wire.rrset import RRset, Security, Trust

T = TypeVar("T")

_LONGEST = 1000.0
"""Seconds: no round trip takes as long."""
_ROUNDING = 0.001
"""Seconds that are lost where one time is told by another clock."""


class _Set(msgspec.Struct, array_like=True, frozen=True, gc=False):
    owner: bytes
    rtype: Annotated[int, Meta(ge=0, le=0xFFFF)]
    ttl: Annotated[int, Meta(ge=0, le=0x7FFFFFFF)]
    rdatas: Annotated[tuple[Annotated[bytes, Meta(max_length=0xFFFF)], ...], Meta(min_length=1)]
    sigs: tuple[bytes, ...]
    security: Security


class _Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    rtype: int
    rrset: _Set | None
    authority: tuple[_Set, ...]
    trust: Trust
    stored: float
    expires: float
    lease: float
    denies_name: bool
    security: Security


class _Delegation(msgspec.Struct, array_like=True, frozen=True, gc=False):
    servers: Annotated[tuple[bytes, ...], Meta(min_length=1)]
    glue: tuple[tuple[bytes, tuple[bytes, ...]], ...]
    expires: float
    learnt: float


class _Rtt(msgspec.Struct, array_like=True, frozen=True, gc=False):
    server: tuple[bytes, int, str]
    born: float
    srtt: float
    rttvar: float


class _Support(msgspec.Struct, array_like=True, frozen=True, gc=False):
    server: tuple[bytes, int, str]
    feature: Feature
    zone: bytes
    born: float
    failures: int
    is_proven: bool


_encode = msgspec.msgpack.Encoder().encode
_entries = msgspec.msgpack.Decoder(tuple[_Entry, ...])
_delegation = msgspec.msgpack.Decoder(_Delegation)
_rtts = msgspec.msgpack.Decoder(tuple[_Rtt, ...])
_supports = msgspec.msgpack.Decoder(tuple[_Support, ...])


def row_key(kind: bytes, name: Name) -> bytes:
    """The key of a name's row: its labels from the root down, so that what is below a zone follows it (RFC 4034 §6.1)."""
    parts = labels(name)
    parts.reverse()
    return kind + b"".join([bytes((len(label),)) + label for label in parts])


def name_of(key: bytes) -> Name:
    """The name of a row's key, behind its kind. Raises ValueError for what is none."""
    parts: list[bytes] = []
    at = 1
    while at < len(key):
        end = at + 1 + key[at]
        if not key[at] or end > len(key):
            raise ValueError("no name")
        parts.append(key[at:end])
        at = end
    parts.reverse()
    return _name(b"".join(parts) + b"\0")


def encode_types(types: Types, offset: float, least: float) -> bytes | None:
    """What is held of a name that expires behind `least` (monotonic seconds); None for nothing. `offset`: wall less monotonic.

    What is bogus is never data (RFC 4035 §4.7), and what counts for this process alone stays here.
    """
    entries = [
        (
            rtype,
            None if entry.rrset is None else _set(entry.rrset),
            [_set(each) for each in entry.authority],
            entry.trust,
            entry.stored + offset,
            entry.expires + offset,
            entry.lease + offset,
            entry.denies_name,
            entry.security,
        )
        for rtype, entry in types.items()
        if entry.expires > least and entry.trust is not Trust.LOCAL and entry.security is not Security.BOGUS
    ]
    return _encode(entries) if entries else None


def decode_types(octets: bytes, offset: float, now: float, least: float) -> Types | None:
    """What is to be held of a name; None for nothing that lives behind `least` (monotonic seconds)."""
    entries = _decoded(_entries.decode, octets)
    if entries is None:
        return None
    types: Types = {}
    for each in entries:
        stored, expires = each.stored - offset, each.expires - offset
        if each.security is Security.BOGUS or not (stored <= now and least < expires):
            continue
        if not stored <= expires <= stored + bounds.CACHE_ROW_LIFETIME + _ROUNDING:
            continue
        try:
            rrset = None if each.rrset is None else _rrset(each.rrset)
            authority = tuple([_rrset(beside) for beside in each.authority])
        except ValueError:
            return None
        types[each.rtype] = Cached(
            rrset,
            authority,
            each.trust,
            stored,
            expires,
            each.lease - offset,
            each.denies_name,
            each.security,
            size_of(rrset, authority),
        )
    return types or None


def encode_delegation(delegation: Delegation, offset: float) -> bytes:
    """A delegation."""
    glue = [(name, [each.packed for each in addresses]) for name, addresses in delegation.glue]
    return _encode((delegation.servers, glue, delegation.expires + offset, delegation.learnt + offset))


def decode_delegation(zone: Name, octets: bytes, offset: float, now: float) -> Delegation | None:
    """A delegation that still lives; None else."""
    found = _decoded(_delegation.decode, octets)
    if found is None:
        return None
    learnt, expires = found.learnt - offset, found.expires - offset
    if not learnt <= now < expires <= learnt + bounds.CACHE_ROW_LIFETIME + _ROUNDING:
        return None
    try:
        glue = tuple([(_name(name), tuple([address(each) for each in addresses])) for name, addresses in found.glue])
        servers = tuple(map(_name, found.servers))
    except ValueError:
        return None
    return Delegation(zone, servers, glue, expires, learnt)


def encode_rtts(facts: Sequence[RttFact], offset: float) -> bytes:
    """Round-trip times of servers."""
    return _encode([(_server(each.server), each.born + offset, each.srtt, each.rttvar) for each in facts])


def decode_rtts(octets: bytes, offset: float) -> list[RttFact]:
    """Round-trip times of servers; none of what is not well-formed."""

    def fact(each: _Rtt) -> RttFact:
        if not (0 <= each.srtt <= _LONGEST and 0 <= each.rttvar <= _LONGEST):
            raise ValueError("no round-trip time")
        return RttFact(_server_of(each.server), each.born - offset, each.srtt, each.rttvar)

    return _each(_decoded(_rtts.decode, octets) or (), fact)


def encode_supports(facts: Sequence[SupportFact], offset: float) -> bytes:
    """What servers support."""
    return _encode([
        (_server(each.server), each.feature, each.zone, each.born + offset, each.failures, each.is_proven) for each in facts
    ])


def decode_supports(octets: bytes, offset: float) -> list[SupportFact]:
    """What servers support; nothing of what is not well-formed."""

    def fact(each: _Support) -> SupportFact:
        server = _server_of(each.server)
        return SupportFact(server, each.feature, each.zone, each.born - offset, each.failures, each.is_proven)

    return _each(_decoded(_supports.decode, octets) or (), fact)


S = TypeVar("S")


def _each(found: Iterable[S], made: Callable[[S], T]) -> list[T]:
    try:
        return [made(each) for each in found]
    except ValueError:  # no address, no time
        return []


def _decoded(decode: Callable[[bytes], T], octets: bytes) -> T | None:
    try:
        return decode(octets)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _set(rrset: RRset) -> tuple[object, ...]:
    return rrset.owner, rrset.rtype, rrset.ttl, rrset.rdatas, rrset.sigs, rrset.security


def _rrset(held: _Set) -> RRset:
    for each in held.rdatas:
        rdata.check(held.rtype, each)
    return RRset(_name(held.owner), held.rtype, held.ttl, held.rdatas, held.sigs, held.security)


def _name(octets: bytes) -> Name:
    """The octets, which have to be a name in lower case. Raises ValueError."""
    if rdata.name_at(octets, 0) != octets or lower(octets) != octets:
        raise ValueError("no name")
    return octets


def _server(server: Server) -> tuple[bytes, int, str]:
    return server.address.packed, server.port, server.tls_name


def _server_of(held: tuple[bytes, int, str]) -> Server:
    packed, port, tls_name = held
    return Server(address(packed), port, tls_name)
