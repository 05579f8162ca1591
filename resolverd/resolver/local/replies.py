"""Replies about the entries of lists, from a question's octets: what `render` makes of `LocalZone.ask`, without values between.

Only to what is asked all day: one question of class IN, with an OPT without options or none, about a name that one entry
decides, in a zone that has nothing but lists below its apex. For everything else, and in doubt, there is none here.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from resolverd import bounds
from resolverd.resolver.local.local_zone import LocalZone
from resolverd.resolver.local.rbldnsd.dataset import UNDECIDED
from resolverd.resolver.local.rbldnsd.reader import EXCLUDED
from resolverd.resolver.local.table import LocalZones
from resolverd.wire import codes, rdata
from resolverd.wire.answer import Answer
from resolverd.wire.names import MAX_NAME, ROOT, Name, is_subdomain, labels, lower
from resolverd.wire.peek import Query
from resolverd.wire.render import render

_HEADER = 12
_OWNER = b"\xc0\x0c"
"""A pointer to the question's name."""
_IN = codes.IN.to_bytes(2)
_TYPES = {rtype.to_bytes(2) + _IN: rtype for rtype in range(1, 128) if rtype != codes.OPT}
"""Types that are no meta types (RFC 6895 §3.1), as they end a question."""
_OPT = b"\x00" + codes.OPT.to_bytes(2)
_OPT_LENGTH = 11
_OPTS = {
    _OPT + flags + bytes(2): _OPT + bounds.MAX_UDP_SIZE.to_bytes(2) + flags + bytes(2)
    for flags in (bytes(4), codes.DO.to_bytes(4))
}
"""OPT of version 0 without options, its size left out, and that of the reply."""
_FLAGS = tuple(rd | ad | cd for rd in (0, codes.RD) for ad in (0, codes.AD) for cd in (0, codes.CD))


class LocalData(Protocol):
    """Where the local zones are at the moment (`files`)."""

    @property
    def table(self) -> LocalZones:
        """The zones."""
        ...


class LocalReplies:
    """Those about names in local zones, but for zones that are `shared`: by origin, others have a say there as well."""

    def __init__(self, data: LocalData, shared: Callable[[Name], bool]):
        self._data = data
        self._shared = shared
        self._table = LocalZones()
        self._zones: dict[Name, _Zone] = {}
        self._lengths: tuple[int, ...] = ()
        """Those of the zones' names, longest first."""

    def reply(self, packet: bytes) -> bytes | None:
        """The reply to a packet; None where it takes more to tell."""
        if self._data.table is not self._table:
            self._take(self._data.table)
        if not self._lengths or len(packet) < _HEADER + 5:
            return None
        end, opt = len(packet) - 4, b""
        if packet[11]:
            end -= _OPT_LENGTH
            opt = _OPTS.get(packet[end + 4 : end + 7] + packet[end + 9 :], b"")
            if not opt:
                return None
        name = packet[_HEADER:end].lower()
        for length in self._lengths:
            zone = self._zones.get(name[-length:])
            if zone is not None:
                break
        else:
            return None
        heads, rtype, prefix = zone.heads.get(packet[2:_HEADER]), _TYPES.get(packet[end : end + 4]), name[:-length]
        if heads is None or rtype is None or not 0 < len(prefix) <= MAX_NAME - length or prefix.endswith(zone.servers):
            return None
        listed_by = None
        for each in zone.lists:
            found = each.number_of(prefix)
            if found != EXCLUDED:
                if found == UNDECIDED or listed_by is not None:
                    return None
                listed_by, number = each, found
        if listed_by is None:
            head, records = heads.nxdomain, zone.denials.get(len(prefix)) or zone.denial(name, len(prefix))
        elif rtype == codes.A:
            head, records = heads.found, _OWNER + listed_by.a_record(number)
        elif rtype == codes.TXT:
            # Its text may say which name was asked.
            return None
        else:
            head, records = heads.nodata, zone.denials.get(len(prefix)) or zone.denial(name, len(prefix))
        reply = packet[:2] + head + packet[_HEADER : end + 4] + records + opt
        return reply if len(reply) <= bounds.MIN_UDP_SIZE else None

    def _take(self, table: LocalZones) -> None:
        self._table = table
        served = {zone.origin: _Zone(zone) for zone in table if _is_simple(zone) and not self._shared(zone.origin)}
        # What is at or below other zones is theirs.
        others = [*table.delegated_away, *(zone.origin for zone in table)] if served else []
        self._zones = dict.fromkeys(others, _NOT_SERVED) | served
        self._lengths = tuple(sorted(set(map(len, self._zones)), reverse=True))


class _Heads(NamedTuple):
    """Headers of replies, behind the ID."""

    nxdomain: bytes
    nodata: bytes
    found: bytes


class _Zone:
    """A zone that has nothing but lists below its apex.

    `heads` by the question's header behind the ID; none where it is not served here. `servers`: the last labels below the
    origin of names in its SOA, which the question's name would compress if it had them too. `denials`: the records of a
    denial by the octets that the name has in front of the origin.
    """

    def __init__(self, zone: LocalZone):
        denial = zone.denial.answer if zone.denial is not None else Answer(codes.NXDOMAIN)
        served = _is_simple(zone)
        self.heads = dict(_heads(flags, opt, len(denial.authority)) for flags in _FLAGS for opt in (0, 1) if served)
        self.lists = zone.lists
        self.servers = tuple(_last_labels(zone.origin, denial))
        self.denials: dict[int, bytes] = {}
        self._denial = denial

    def denial(self, name: Name, length: int) -> bytes:
        """The records of a denial of a name that has so many octets in front of the origin."""
        query = Query(0, 0, name, codes.A, codes.IN, None, name + bytes(4))
        records = self.denials[length] = render(query, self._denial, 65535).data[_HEADER + len(query.question) :]
        return records


def _is_simple(zone: LocalZone) -> bool:
    return not zone.fault and bool(zone.lists) and zone.denial is not None


def _heads(flags: int, opt: int, authority: int) -> tuple[bytes, _Heads]:
    asked = flags.to_bytes(2) + bytes((0, 1, 0, 0, 0, 0, 0, opt))
    said = codes.QR | codes.AA | codes.RA | flags & (codes.RD | codes.CD)
    negative, positive = bytes((0, 1, 0, 0, 0, authority, 0, opt)), bytes((0, 1, 0, 1, 0, 0, 0, opt))
    noerror, nxdomain = said.to_bytes(2), (said | codes.NXDOMAIN).to_bytes(2)
    return asked, _Heads(nxdomain + negative, noerror + negative, noerror + positive)


def _last_labels(origin: Name, denial: Answer) -> Iterable[bytes]:
    for rrset in denial.authority:
        soa = rdata.soa(rrset.rdatas[0])
        for name in (lower(soa.mname), lower(soa.rname)):
            if name != origin and is_subdomain(name, origin):
                last = labels(name[: len(name) - len(origin)] + b"\x00")[-1]
                yield bytes((len(last),)) + last


_NOT_SERVED = _Zone(LocalZone(ROOT))
