"""Single records in presentation form to RRsets, read by dnslib; its types end here."""

import dnslib

from resolverd.wire.names import Name, from_text, lower
from resolverd.wire.rrset import RRset


def rrsets(lines: str) -> list[RRset]:
    """Records, one a line (``name ttl IN type rdata``), gathered into RRsets. Raises dnslib.DNSError for unreadable ones."""
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
