"""What a zone's NSEC3 records prove (RFC 5155 §8, RFC 6840 §4, RFC 9276)."""

from collections.abc import Iterable, Sequence
from itertools import islice, pairwise
from typing import Final, NamedTuple, Protocol

from resolverd import bounds
from resolverd.resolver.validator.proof import Denial, DsDenial, HashBudget, NoDs, Proof, contradiction, ds_absence, hides_below
from resolverd.wire import codes
from resolverd.wire.dnssec import OPT_OUT, Nsec3, label_hash, nsec3, nsec3_hash
from resolverd.wire.names import WILDCARD, Name, ancestors, is_subdomain, label_count, parent, suffix, to_text
from resolverd.wire.rrset import RRset

SHA1: Final = 1
_SHA1_OCTETS: Final = 20


class Nsec3Record(NamedTuple):
    """One NSEC3 of a zone: no hash of the zone lies between `owner` and ``data.next_hash``."""

    owner: bytes
    data: Nsec3
    rrset: RRset

    def covers(self, hashed: bytes) -> bool:
        """Whether it says that no owner of the zone has that hash."""
        end = self.data.next_hash
        if self.owner < end:
            return self.owner < hashed < end
        # The last one goes back to the first; a single one covers all but itself.
        return hashed > self.owner or hashed < end


def parsed(rrset: RRset, zone: Name) -> list[Nsec3]:
    """An NSEC3 RRset of `zone`: nothing of one that can be none of its, or has unknown flags (RFC 5155 §8.2)."""
    if not rrset.owner[0] or parent(rrset.owner) != zone:
        return []
    try:
        found = [nsec3(data) for data in rrset.rdatas]
    except ValueError:
        return []
    return [each for each in found if not each.flags & ~OPT_OUT]


def beyond(data: Nsec3) -> str:
    """Why these parameters are not evaluated, in words; empty if they are (RFC 5155 §8.1, RFC 9276 §3.2)."""
    if data.algorithm != SHA1:
        return f"NSEC3 with hash algorithm {data.algorithm}"
    if data.iterations > bounds.MAX_NSEC3_ITERATIONS:
        return f"NSEC3 with {data.iterations} iterations"
    return ""


def nsec3_record(rrset: RRset, data: Nsec3) -> Nsec3Record | None:
    """One record of an NSEC3 RRset, if both its ends are hashes."""
    try:
        hashed = label_hash(rrset.owner[1 : 1 + rrset.owner[0]])
    except ValueError:
        return None
    return Nsec3Record(hashed, data, rrset) if len(hashed) == len(data.next_hash) == _SHA1_OCTETS else None


class Records(Protocol):
    """NSEC3 records of a zone with the same parameters, by hash."""

    def match(self, hashed: bytes) -> Nsec3Record | None:
        """The one of that hash."""

    def cover(self, hashed: bytes) -> Nsec3Record | None:
        """One that says that no owner of the zone has that hash."""


class _Few:
    """Those of one message."""

    def __init__(self, records: Sequence[Nsec3Record]):
        self._records = records

    def match(self, hashed: bytes) -> Nsec3Record | None:
        return next((each for each in self._records if each.owner == hashed), None)

    def cover(self, hashed: bytes) -> Nsec3Record | None:
        return next((each for each in self._records if each.covers(hashed)), None)


class Encloser(NamedTuple):
    """A proven closest encloser: the record that matches it, and the one that covers the next closer name."""

    name: Name
    match: Nsec3Record
    cover: Nsec3Record

    @property
    def opt_out(self) -> bool:
        """Whether the next closer name may be a delegation without DS."""
        return self.cover.data.is_opt_out


class Nsec3Proofs:
    """What NSEC3 records of a zone prove that share their parameters, and so speak of the same hashes."""

    def __init__(self, records: Records, iterations: int, salt: bytes, zone: Name, work: HashBudget):
        self._records = records
        self._iterations = iterations
        self._salt = salt
        self._zone = zone
        self._work = work
        self._hashes: dict[Name, bytes] = {}

    def _hash(self, name: Name) -> bytes:
        hashed = self._hashes.get(name)
        if hashed is None:
            self._work.charge_hashes(1)
            hashed = self._hashes[name] = nsec3_hash(name, self._salt, self._iterations)
        return hashed

    def match(self, name: Name) -> Nsec3Record | None:
        """The record of an existing name."""
        return self._records.match(self._hash(name))

    def cover(self, name: Name) -> Nsec3Record | None:
        """A record that says that the name is no owner."""
        return self._records.cover(self._hash(name))

    def encloser(self, name: Name) -> Encloser | None:
        """The closest encloser with its proof: an ancestor that exists, and the name below it that doesn't (RFC 5155 §8.3).

        From the apex down: it costs as many hashes as the encloser is deep, not as many as the name is, whose labels are a
        stranger's choice (CVE-2023-50868).
        """
        chain = [each for each in ancestors(name) if is_subdomain(each, self._zone)]
        for upper, below in pairwise(reversed(chain)):
            match = self.match(upper)
            if match is None:
                continue
            if hides_below(match.data.types):
                return None
            cover = self.cover(below)
            if cover is not None:
                return Encloser(upper, match, cover)
        return None

    def nodata(self, name: Name, rtype: int) -> Denial:
        """That the name, or the wildcard that answers for it, has no such type (RFC 5155 §8.5 to §8.7)."""
        match = self.match(name)
        if match is not None:
            why = contradiction(match.data.types, name, rtype)
            return Denial(Proof.MISSING, f"NSEC3 of {to_text(name)}, {why}") if why else Denial(Proof.PROVEN)
        encloser = self.encloser(name)
        if encloser is None:
            return Denial(Proof.MISSING, f"no NSEC3 matches {to_text(name)} or proves its closest encloser")
        if encloser.opt_out:
            # RFC 5155 §8.6, and for all types: what is only above delegations without DS may have no NSEC3 (erratum 3441).
            return Denial(Proof.INSECURE, f"{to_text(name)} may be below a delegation that Opt-Out hides")
        wildcard = WILDCARD + encloser.name
        match = self.match(wildcard)
        if match is None:
            return Denial(Proof.MISSING, f"no NSEC3 matches {to_text(name)} or {to_text(wildcard)}")
        why = contradiction(match.data.types, wildcard, rtype)
        return Denial(Proof.MISSING, f"NSEC3 of {to_text(wildcard)}, {why}") if why else Denial(Proof.PROVEN)

    def nxdomain(self, name: Name) -> Denial:
        """That there is no such name, nor a wildcard that answers for it (RFC 5155 §8.4)."""
        encloser = self.encloser(name)
        if encloser is None:
            return Denial(Proof.MISSING, f"no NSEC3 proves the closest encloser of {to_text(name)}")
        wildcard = WILDCARD + encloser.name
        if self.cover(wildcard) is None:
            return Denial(Proof.MISSING, f"no NSEC3 covers {to_text(wildcard)}")
        if encloser.opt_out:
            return Denial(Proof.INSECURE, f"{to_text(name)} may be below a delegation that Opt-Out hides")
        return Denial(Proof.PROVEN)

    def wildcard(self, name: Name, encloser: Name) -> Denial:
        """That nothing exists between the name and `encloser`, whose wildcard has answered (RFC 5155 §8.8)."""
        closer = suffix(name, label_count(encloser) + 1)
        cover = self.cover(closer)
        if cover is None:
            return Denial(Proof.MISSING, f"no NSEC3 covers {to_text(closer)}")
        if cover.data.is_opt_out:
            return Denial(Proof.INSECURE, f"{to_text(closer)} may be a delegation that Opt-Out hides")
        return Denial(Proof.PROVEN)

    def no_ds(self, cut: Name) -> DsDenial:
        """Whether a zone begins at `cut`, if it has no DS (RFC 5155 §8.6)."""
        match = self.match(cut)
        if match is not None:
            found = ds_absence(match.data.types, cut)
            return found or DsDenial(NoDs.MISSING, f"NSEC3 of {to_text(cut)} does not deny its DS")
        encloser = self.encloser(cut)
        if encloser is None:
            return DsDenial(NoDs.MISSING, f"no NSEC3 matches {to_text(cut)} or proves its closest encloser")
        return DsDenial(NoDs.INSECURE_DELEGATION if encloser.opt_out else NoDs.NO_CUT)


def nsec3_chains(proofs: Iterable[RRset], zone: Name, work: HashBudget) -> tuple[list[Nsec3Proofs], str]:
    """The NSEC3 records of one message that `zone` has signed, MAX_NSEC3_RECORDS at most; and why others are not evaluated.

    Sets of parameters stand apart, as the hashes of one say nothing of another's (RFC 5155 §8.2).
    """
    found = ((rrset, data) for rrset in proofs if rrset.rtype == codes.NSEC3 for data in parsed(rrset, zone))
    chains: dict[tuple[int, bytes], list[Nsec3Record]] = {}
    unknown = ""
    for rrset, data in islice(found, bounds.MAX_NSEC3_RECORDS):
        if why := beyond(data):
            unknown = why
        elif (record := nsec3_record(rrset, data)) is not None:
            chains.setdefault((data.iterations, data.salt), []).append(record)
    return [Nsec3Proofs(_Few(members), iterations, salt, zone, work) for (iterations, salt), members in chains.items()], unknown
