"""Master files (RFC 1035 §5) to RRsets, read by dnspython; its types end here."""

import dns.exception
import dns.name
import dns.rdataclass
import dns.rdataset
import dns.zone

from resolverd.wire.names import Name, from_text, to_text
from resolverd.wire.rrset import RRset


class BadZone(ValueError):
    """Zone text that cannot be read; the message has dnspython's line number."""


def parse(text: str, origin: Name) -> list[RRset]:
    """The RRsets of a zone's text, TTLs as written; SOA and NS at the origin may be missing (root hints). Raises BadZone."""
    try:
        zone = dns.zone.from_text(text, origin=dns.name.from_text(to_text(origin)), relativize=False, check_origin=False)
    except (dns.exception.DNSException, ValueError) as error:
        raise BadZone(str(error)) from None
    out = []
    for owner, rdataset in zone.iterate_rdatasets():
        datas = tuple(rdata.to_generic().data for rdata in rdataset)
        out.append(RRset(from_text(owner.to_text()), int(rdataset.rdtype), rdataset.ttl, datas))
    return out
