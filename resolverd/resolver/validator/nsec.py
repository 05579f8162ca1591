"""What a zone's NSEC records prove (RFC 4035 §3.1.3, §5.4; RFC 6840 §4)."""

from collections.abc import Iterable, Iterator

from resolverd.resolver.validator.proof import Denial, DsDenial, NoDs, Proof, contradiction, ds_absence, hides_below
from resolverd.wire.canonical import name_key
from resolverd.wire.dnssec import Nsec, nsec
from resolverd.wire.names import WILDCARD, Name, ancestors, is_subdomain, to_text
from resolverd.wire.rrset import RRset


class NsecRecord:
    """One NSEC of a zone: no name of the zone sorts between its owner and `next_name`."""

    __slots__ = ("is_last", "key", "next_key", "next_name", "owner", "rrset", "types")

    def __init__(self, rrset: RRset, data: Nsec, zone: Name):
        self.rrset = rrset
        self.owner = rrset.owner
        self.next_name = data.next_name
        self.key = name_key(self.owner)
        self.next_key = name_key(self.next_name)
        self.types = data.types
        self.is_last = self.next_name == zone

    def covers(self, name: Name, key: tuple[bytes, ...]) -> bool:
        """Whether it says that `name`, whose sort key is `key`, is no owner in the zone."""
        if not self.key < key or not (self.is_last or key < self.next_key):
            return False
        return not (is_subdomain(name, self.owner) and hides_below(self.types))

    def is_above_next(self, name: Name) -> bool:
        """Whether the next owner is below `name`, which so is an empty non-terminal if it is covered."""
        return is_subdomain(self.next_name, name)

    def encloser(self, name: Name) -> Name:
        """The closest encloser of a name that is covered: both ends of the gap exist, and so do all names above them."""
        return next(each for each in ancestors(name)[1:] if is_subdomain(self.owner, each) or is_subdomain(self.next_name, each))


def nsec_record(rrset: RRset, zone: Name) -> NsecRecord | None:
    """An NSEC RRset of `zone` as a record, None for one that can be nothing of the kind.

    Both ends must be in the zone, and only the last one goes back, to the apex (RFC 4034 §4.1.1): a signed record that says
    otherwise would deny names of other zones.
    """
    if len(rrset.rdatas) != 1 or not is_subdomain(rrset.owner, zone):
        return None
    try:
        found = NsecRecord(rrset, nsec(rrset.rdatas[0]), zone)
    except ValueError:
        return None
    return found if found.is_last or (is_subdomain(found.next_name, zone) and found.key < found.next_key) else None


class NsecProofs:
    """Some of a zone's NSEC records, and what they prove."""

    def __init__(self, records: Iterable[NsecRecord]):
        self._records = {each.owner: each for each in records}

    def __bool__(self) -> bool:
        return bool(self._records)

    def _covering(self, name: Name) -> Iterator[NsecRecord]:
        key = name_key(name)
        return (each for each in self._records.values() if each.covers(name, key))

    def _denies(self, name: Name) -> bool:
        """Whether the name is proven not to exist, not as an empty non-terminal either."""
        return any(not each.is_above_next(name) for each in self._covering(name))

    def _is_empty(self, name: Name) -> bool:
        """Whether the name is proven to be an empty non-terminal."""
        return any(each.is_above_next(name) for each in self._covering(name))

    def nodata(self, name: Name, rtype: int) -> Denial:
        """That the name, or the wildcard that answers for it, has no such type (RFC 4035 §3.1.3.1, §3.1.3.4)."""
        match = self._records.get(name)
        if match is not None:
            why = contradiction(match.types, name, rtype)
            return Denial(Proof.MISSING, f"NSEC of {to_text(name)}, {why}") if why else Denial(Proof.PROVEN)
        why = f"no NSEC matches or covers {to_text(name)}"
        for each in self._covering(name):
            if each.is_above_next(name):
                return Denial(Proof.PROVEN)
            wildcard = WILDCARD + each.encloser(name)
            match = self._records.get(wildcard)
            if match is None and self._is_empty(wildcard):
                return Denial(Proof.PROVEN)
            refusal = contradiction(match.types, wildcard, rtype) if match is not None else ""
            if match is not None and not refusal:
                return Denial(Proof.PROVEN)
            why = f"NSEC of {to_text(wildcard)}, {refusal}" if refusal else f"no NSEC matches {to_text(wildcard)}"
        return Denial(Proof.MISSING, why)

    def nxdomain(self, name: Name) -> Denial:
        """That there is no such name, nor a wildcard that answers for it (RFC 4035 §3.1.3.2)."""
        why = f"no NSEC covers {to_text(name)}"
        for each in self._covering(name):
            if each.is_above_next(name):
                return Denial(Proof.MISSING, f"{to_text(each.next_name)} exists, below {to_text(name)}")
            wildcard = WILDCARD + each.encloser(name)
            if self._denies(wildcard):
                return Denial(Proof.PROVEN)
            why = f"no NSEC covers {to_text(wildcard)}"
        return Denial(Proof.MISSING, why)

    def wildcard(self, name: Name, encloser: Name) -> Denial:
        """That nothing exists between the name and `encloser`, whose wildcard has answered (RFC 4035 §5.3.4)."""
        for each in self._covering(name):
            # Empty non-terminals aside, which exist: no wildcard answers for them (RFC 4592 §2.2.2).
            if not each.is_above_next(name) and each.encloser(name) == encloser:
                return Denial(Proof.PROVEN)
        return Denial(Proof.MISSING, f"no NSEC covers {to_text(name)} up to {to_text(encloser)}")

    def no_ds(self, cut: Name) -> DsDenial:
        """Whether a zone begins at `cut`, if it has no DS (RFC 4035 §5.2)."""
        match = self._records.get(cut)
        if match is not None:
            return ds_absence(match.types, cut) or DsDenial(NoDs.MISSING, f"NSEC of {to_text(cut)} does not deny its DS")
        if any(self._covering(cut)):
            return DsDenial(NoDs.NO_CUT)
        return DsDenial(NoDs.MISSING, f"no NSEC matches or covers {to_text(cut)}")
