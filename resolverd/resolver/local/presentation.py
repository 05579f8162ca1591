"""Records in presentation form (RFC 1035 §5.1, RFC 3597 §5) and back, by dnspython; its types end here."""

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

_GENERIC = "\\# "


def record_text(rtype: int, rdata: bytes) -> str:
    """A record's data as `record_from` reads it, octet by octet the same. Raises ValueError where it is malformed."""
    generic = f"{_GENERIC}{len(rdata)} {rdata.hex()}".rstrip()
    kind = dns.rdatatype.RdataType.make(rtype)
    try:
        text: str = dns.rdata.from_wire(dns.rdataclass.IN, kind, rdata, 0, len(rdata)).to_text()
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(str(error)) from None
    try:
        return text if record_from(rtype, text) == rdata else generic
    except ValueError:
        return generic


def record_from(rtype: int, text: str) -> bytes:
    """A record's data, uncompressed. Raises ValueError, saying what is wrong with it."""
    kind = dns.rdatatype.RdataType.make(rtype)
    try:
        found = dns.rdata.from_text(dns.rdataclass.IN, kind, text, origin=dns.name.root, relativize=False)
        octets = found.to_wire()
    except (dns.exception.DNSException, ValueError, TypeError, ArithmeticError) as error:
        raise ValueError(str(error) or type(error).__name__) from None
    return octets or b""
