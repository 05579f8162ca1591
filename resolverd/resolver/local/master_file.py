"""Master files (RFC 1035 §5) to RRsets, read by dnspython; its types end here."""

import dns.exception
import dns.name
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.tokenizer
import dns.transaction
import dns.zone
import dns.zonefile

from resolverd import bounds
from resolverd.values import replace
from resolverd.wire import codes
from resolverd.wire.names import Name, from_text, lower, to_text
from resolverd.wire.rrset import RRset


class BadZone(ValueError):
    """Zone text that cannot be read; the message says in which line and why."""


def parse(text: str, origin: Name, default_ttl: int | None = None) -> list[RRset]:
    """The RRsets of a zone's text, signatures beside what they sign, TTLs as written. Raises BadZone.

    SOA and NS at the origin may be missing (root hints); ``$INCLUDE`` is refused, and ``$GENERATE`` bounded. With a
    `default_ttl` none need be written.
    """
    zone = _Zone(dns.name.from_text(to_text(origin)), relativize=False)
    tokens = _Tokens(text, "")
    try:
        with zone.writer(True) as transaction:
            transaction.check_put_rdataset(_check)
            transaction.check_put_rdataset(tokens.count)
            reader = dns.zonefile.Reader(tokens, dns.rdataclass.IN, transaction)
            reader.current_origin = reader.last_name = zone.origin
            if default_ttl is not None:
                reader.default_ttl, reader.default_ttl_known = default_ttl, True
            reader.read()
    except dns.exception.SyntaxError as error:
        # ":3: …": the line where the reader stood, which may be the one behind the record.
        raise BadZone(f"line {tokens.begun}: {str(error).split(': ', 1)[-1]}") from None
    except KeyError:
        raise BadZone(f"line {tokens.begun}: {reader.last_name} is not in the zone") from None
    except (dns.exception.DNSException, ValueError) as error:
        raise BadZone(f"line {tokens.begun}: {error}") from None
    return _rrsets(zone)


def zone(text: str, origin: Name) -> list[RRset]:
    """The same for a zone that is to be served: with its SOA (RFC 1035 §5.2). Raises BadZone."""
    rrsets = parse(text, origin)
    apex = lower(origin)
    if not any(each.rtype == codes.SOA and lower(each.owner) == apex for each in rrsets):
        raise BadZone(f"no SOA record at {to_text(origin)}")
    return rrsets


def _rrsets(zone: dns.zone.Zone) -> list[RRset]:
    found: dict[tuple[dns.name.Name, int], RRset] = {}
    signatures: dict[tuple[dns.name.Name, int], tuple[bytes, ...]] = {}
    for name, rdataset in zone.iterate_rdatasets():
        datas = tuple(rdata.to_generic().data for rdata in rdataset)
        if rdataset.rdtype == dns.rdatatype.RRSIG:
            signatures[name, int(rdataset.covers)] = datas
        else:
            rtype = int(rdataset.rdtype)
            found[name, rtype] = RRset(from_text(name.to_text()), rtype, rdataset.ttl, datas)
    return [replace(rrset, sigs=signatures.get(key, ())) for key, rrset in found.items()]


class _Zone(dns.zone.Zone):
    """Makes the reader take every name for one in its zone: it would drop the others silently."""

    def origin_information(self) -> tuple[dns.name.Name | None, bool, dns.name.Name | None]:
        return dns.name.root, False, self.origin


class _Tokens(dns.tokenizer.Tokenizer):
    """Knows in which line the record being read began, and how many records lines have made that are none themselves."""

    begun = 1
    _counted = 0
    _generated = 0

    def get(self, want_leading: bool = False, want_comment: bool = False) -> dns.tokenizer.Token:
        """The next token. Comments are asked for between records only."""
        if want_comment:
            self.begun = self.line_number
        return super().get(want_leading, want_comment)

    def count(self, *record: object) -> None:
        """One more record. Raises ValueError where ``$GENERATE`` has made too many."""
        if self._counted != self.begun:
            self._counted = self.begun
            return
        self._generated += 1
        if self._generated >= bounds.GENERATED:
            raise ValueError(f"$GENERATE makes more than {bounds.GENERATED} records; a list's formats hold ranges")


def _check(transaction: dns.transaction.Transaction, name: dns.name.Name, rdataset: dns.rdataset.Rdataset) -> None:
    # Where a type may have one record only, dnspython lets the last one win.
    if dns.rdatatype.is_singleton(rdataset.rdtype):
        before = transaction.get(name, rdataset.rdtype, rdataset.covers)
        if before is not None and before != rdataset:
            raise ValueError(f"a second {dns.rdatatype.to_text(rdataset.rdtype)} record at {name}")
