"""Names that never leave the machine: reverse zones of private and special addresses (RFC 6303), special-use names (RFC 6761).

A stub, forward or local zone at or below one of them wins over it, and `except_` names those to resolve after all.
"""

from collections.abc import Collection, Iterable, Mapping
from functools import cache

import dnslib

from resolverd.resolver.local.zone import AuthZone
from resolverd.values import replace
from resolverd.wire import codes
from resolverd.wire.answer import Answer
from resolverd.wire.names import Name, ancestors, from_text, lower, to_text
from resolverd.wire.rrset import RRset

_REVERSE = (
    "10.in-addr.arpa",  # RFC 1918
    *(f"{octet}.172.in-addr.arpa" for octet in range(16, 32)),
    "168.192.in-addr.arpa",
    *(f"{octet}.100.in-addr.arpa" for octet in range(64, 128)),  # RFC 6598, RFC 7793
    "0.in-addr.arpa",  # RFC 1122 §3.2.1.3
    "254.169.in-addr.arpa",  # RFC 3927
    "2.0.192.in-addr.arpa",  # RFC 5737
    "100.51.198.in-addr.arpa",
    "113.0.203.in-addr.arpa",
    "255.255.255.255.in-addr.arpa",  # RFC 919
    "0." * 32 + "ip6.arpa",  # ::
    "d.f.ip6.arpa",  # RFC 4193
    *(f"{digit}.e.f.ip6.arpa" for digit in "89ab"),  # RFC 4291 §2.5.6
    "8.b.d.0.1.0.0.2.ip6.arpa",  # RFC 3849
)
_SPECIAL = (
    "test",  # RFC 6761
    "invalid",
    "onion",  # RFC 7686
    "home.arpa",  # RFC 8375
    "resolver.arpa",  # RFC 9462
    "service.arpa",  # RFC 9665
)
_LOCALHOST_NAME = from_text("localhost")
_LOCALHOST = "localhost. 10800 IN A 127.0.0.1\nlocalhost. 10800 IN AAAA ::1"
_LOOPBACK = {
    "127.in-addr.arpa": "1.0.0.127.in-addr.arpa. 10800 IN PTR localhost.",
    "1." + "0." * 31 + "ip6.arpa": "1." + "0." * 31 + "ip6.arpa. 10800 IN PTR localhost.",
}
_APEX = "{0} 10800 IN SOA {0} nobody.invalid. 1 3600 1200 604800 10800\n{0} 10800 IN NS {0}\n"


def _zone(origin: str, lines: str = "") -> AuthZone:
    # RFC 6303 §3: an otherwise empty zone, its own name as server.
    return AuthZone(from_text(origin), _rrsets(_APEX.format(to_text(from_text(origin))) + lines))


@cache
def _zones() -> Mapping[Name, AuthZone]:
    """All of them by origin, made once: reading a hundred zones takes as long as all else that a reload does."""
    zones = [_zone(origin) for origin in (*_REVERSE, *_SPECIAL)]
    zones += [_zone(origin, lines) for origin, lines in _LOOPBACK.items()]
    return {zone.origin: zone for zone in (*zones, _zone("localhost", _LOCALHOST))}


def builtin_names() -> Collection[Name]:
    """The origins of the built-in zones."""
    return _zones().keys()


class BuiltinZones:
    """The built-in zones, less those that the configuration wants resolved."""

    def __init__(self, except_: Iterable[Name] = ()):
        """`except_`: names (lower case) at or below which nothing is built in."""
        self._zones = _zones()
        self._except = frozenset(except_)

    def answer(self, name: Name, rtype: int) -> Answer | None:
        """What a built-in zone says of `name` (lower case); None where none holds it.

        An apex's DS is the parent's, with the proof that there is none: without it, whoever validates behind us takes the zone
        for bogus (RFC 4035 §3.1.4.1, RFC 8375 §4).
        """
        for owner in ancestors(name):
            if owner in self._except or (rtype == codes.DS and owner == name and owner in self._zones):
                return None
            if (zone := self._zones.get(owner)) is not None:
                if owner == _LOCALHOST_NAME:
                    # RFC 6761 §6.3: every name below localhost is localhost.
                    answer = zone.answer(owner, rtype)
                    return replace(answer, answer=tuple(replace(each, owner=name) for each in answer.answer))
                return zone.answer(name, rtype)
        return None


def _rrsets(lines: str) -> list[RRset]:
    """Records in presentation form, one a line (``name ttl IN type rdata``), as RRsets. Read by dnslib, whose types end here."""
    gathered: dict[tuple[Name, int], tuple[int, list[bytes]]] = {}
    for record in dnslib.RR.fromZone(lines):
        buffer = _Uncompressed()
        record.rdata.pack(buffer)
        entry = gathered.setdefault((lower(from_text(str(record.rname))), record.rtype), (record.ttl, []))
        entry[1].append(bytes(buffer.data))
    return [RRset(owner, rtype, ttl, tuple(datas)) for (owner, rtype), (ttl, datas) in gathered.items()]


class _Uncompressed(dnslib.DNSBuffer):  # type: ignore[misc]
    """Packs names in full: RRsets keep their rdata without compression."""

    def encode_name(self, name: dnslib.DNSLabel) -> None:
        """A name without pointers."""
        self.encode_name_nocompress(name)
