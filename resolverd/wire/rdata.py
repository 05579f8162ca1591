"""Names inside rdata: which types have them, where, and how to read the few types that we act on.

Only the types of RFC 1035 may be compressed when sent (RFC 3597 §4); more types may arrive compressed from old servers
(RFC 3597 §4's list). Everything else is opaque octets.
"""

from ipaddress import IPv6Address
from struct import Struct
from typing import Final, NamedTuple

from resolverd.wire import codes
from resolverd.wire.names import MAX_LABEL, MAX_NAME, Name, to_text

NAME: Final = -1
"""In a layout: a domain name."""
STRING: Final = -2
"""In a layout: a character string with its length octet."""

LAYOUTS: Final[dict[int, tuple[int, ...]]] = {
    codes.NS: (NAME,),
    codes.MD: (NAME,),
    codes.MF: (NAME,),
    codes.CNAME: (NAME,),
    codes.SOA: (NAME, NAME, 20),
    codes.MB: (NAME,),
    codes.MG: (NAME,),
    codes.MR: (NAME,),
    codes.PTR: (NAME,),
    codes.MINFO: (NAME, NAME),
    codes.MX: (2, NAME),
    codes.RP: (NAME, NAME),
    codes.AFSDB: (2, NAME),
    codes.RT: (2, NAME),
    codes.SIG: (18, NAME),
    codes.PX: (2, NAME, NAME),
    codes.NXT: (NAME,),
    codes.SRV: (6, NAME),
    codes.NAPTR: (4, STRING, STRING, STRING, NAME),
    codes.KX: (2, NAME),
    codes.DNAME: (NAME,),
}
"""Leading fields of the rdata of types that may arrive compressed: octet counts, NAME or STRING."""

ADDRESS_LENGTHS: Final = {codes.A: 4, codes.AAAA: 16}
"""Octets of an address, by type."""
OPEN_ENDED: Final = frozenset({codes.SIG, codes.NXT})
"""Types of `LAYOUTS` that have more behind the fields there."""

COMPRESSIBLE: Final = frozenset(
    {codes.NS, codes.MD, codes.MF, codes.CNAME, codes.SOA, codes.MB, codes.MG, codes.MR, codes.PTR, codes.MINFO, codes.MX}
)
"""Types whose names may be compressed when sent."""

_SOA_NUMBERS = Struct("!5I")


class Soa(NamedTuple):
    """An SOA's fields (RFC 1035 §3.3.13); times in seconds."""

    mname: Name
    rname: Name
    serial: int
    refresh: int
    retry: int
    expire: int
    minimum: int

    def pack(self) -> bytes:
        """The rdata."""
        return self.mname + self.rname + _SOA_NUMBERS.pack(*self[2:])


def name_at(rdata: bytes, at: int) -> Name:
    """The uncompressed name that begins there. Raises ValueError if no whole name does."""
    end = at
    try:
        while length := rdata[end]:
            if length > MAX_LABEL:
                raise ValueError("compressed name, or a reserved label type")
            end += 1 + length
    except IndexError:
        raise ValueError("name runs past the rdata") from None
    if end - at >= MAX_NAME:
        raise ValueError(f"name of more than {MAX_NAME} octets")
    return rdata[at : end + 1]


def check(rtype: int, rdata: bytes) -> None:
    """Raises ValueError for uncompressed rdata that nothing can be of which a message was read: for what comes from disk."""
    layout = LAYOUTS.get(rtype)
    if layout is None:
        if len(rdata) != ADDRESS_LENGTHS.get(rtype, len(rdata)):
            raise ValueError("address of another length")
        return
    at = 0
    for field in layout:
        if field == NAME:
            at += len(name_at(rdata, at))
        elif field == STRING:
            at += 1 + rdata[at] if at < len(rdata) else 1
        else:
            at += field
    if at > len(rdata) or (at < len(rdata) and rtype not in OPEN_ENDED):
        raise ValueError("rdata is not as long as its fields")


def soa(rdata: bytes) -> Soa:
    """An SOA's fields. Raises ValueError for impossible rdata."""
    mname = name_at(rdata, 0)
    rname = name_at(rdata, len(mname))
    numbers = rdata[len(mname) + len(rname) :]
    if len(numbers) != _SOA_NUMBERS.size:
        raise ValueError(f"SOA with {len(numbers)} octets of numbers")
    return Soa(mname, rname, *_SOA_NUMBERS.unpack(numbers))


def target(rtype: int, rdata: bytes) -> Name:
    """The name an NS, CNAME, PTR, DNAME, MX or SRV record points at."""
    return name_at(rdata, {codes.MX: 2, codes.SRV: 6}.get(rtype, 0))


def strings(rdata: bytes) -> list[bytes]:
    """The character strings of a TXT record (RFC 1035 §3.3.14). Raises ValueError for impossible rdata."""
    out = []
    at = 0
    while at < len(rdata):
        end = at + 1 + rdata[at]
        if end > len(rdata):
            raise ValueError("string runs past the rdata")
        out.append(rdata[at + 1 : end])
        at = end
    return out


def text(*parts: bytes) -> bytes:
    """TXT rdata from character strings of at most 255 octets each."""
    return b"".join(bytes([len(part)]) + part for part in parts)


def summary(rtype: int, rdata: bytes) -> str:
    """One record's data in words short enough for a log or a trace; opaque types in hexadecimal."""
    try:
        if rtype == codes.A and len(rdata) == 4:
            return ".".join(map(str, rdata))
        if rtype == codes.AAAA and len(rdata) == 16:
            return str(IPv6Address(rdata))
        if rtype == codes.MX:
            return f"{int.from_bytes(rdata[:2])} {to_text(name_at(rdata, 2))}"
        if rtype in (codes.TXT, codes.SPF):
            return " ".join('"' + part.decode("ascii", "backslashreplace") + '"' for part in strings(rdata))
        if rtype == codes.SOA:
            fields = soa(rdata)
            return f"{to_text(fields.mname)} {to_text(fields.rname)} " + " ".join(map(str, fields[2:]))
        if LAYOUTS.get(rtype) == (NAME,):
            return to_text(name_at(rdata, 0))
    except ValueError:
        pass
    return f"\\# {len(rdata)} {rdata.hex()}"
