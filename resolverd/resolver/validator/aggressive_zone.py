"""What validated NSEC and NSEC3 records of one zone say of names that were not asked for (RFC 8198).

Kept in the zone's order, so that whatever denies a name is found beside where the name would stand. What comes of it is decided
by the same rules as a server's denial (`nsec`, `nsec3`). The denial of a name so answers for all names below it as well
(RFC 8020): the same records cover them. And where a wildcard is known, it answers for names that are proven not to exist
(RFC 8198 §5.3).
"""

from collections import OrderedDict
from typing import Final, TypeAlias

from resolverd import bounds
from resolverd.resolver.cache import weight
from resolverd.resolver.validator.gaps import Gaps
from resolverd.resolver.validator.nsec import NsecProofs, NsecRecord, nsec_record
from resolverd.resolver.validator.nsec3 import Nsec3Proofs, Nsec3Record, beyond, nsec3_record, parsed
from resolverd.resolver.validator.proof import Proof
from resolverd.values import Value, replace
from resolverd.wire import codes, rdata
from resolverd.wire.canonical import name_key
from resolverd.wire.names import WILDCARD, Name, ancestors, is_subdomain, label_count, suffix
from resolverd.wire.rrset import RRset, Security, each_once

_RECORD: Final = 600
"""Octets that a record costs beside its RRset: parsed, and in its place."""
_LABEL: Final = 56
"""Octets that each label of its sort keys costs, of which there may be 127."""
_WILDCARD: Final = 300
"""Octets that a wildcard's RRset costs beside itself."""
_ZONE: Final = 1500
"""Octets that a zone costs beside its records."""


class SynthesisedDenial(Value, frozen=True):
    """`nxdomain`: there is no such name, else no such type. TTLs are what is left of them; `soa`'s is the denial's."""

    nxdomain: bool
    soa: RRset
    proofs: tuple[RRset, ...]


class SynthesisedAnswer(Value, frozen=True):
    """A wildcard's RRset for the name asked for: of the type asked for, or a CNAME. `proofs`: that the name does not exist."""

    rrset: RRset
    proofs: tuple[RRset, ...]


Synthesised: TypeAlias = SynthesisedDenial | SynthesisedAnswer


class _TooMany(Exception):
    """More rounds of SHA-1 than looking for a denial is worth."""


class _Rounds:
    """What looking for one denial may cost: there may be none, and the name and the parameters are strangers' choice."""

    def __init__(self, iterations: int):
        self._left = bounds.AGGRESSIVE_ROUNDS
        self._each = iterations + 1

    def charge_hashes(self, count: int) -> None:
        """Raises _TooMany."""
        self._left -= count * self._each
        if self._left < 0:
            raise _TooMany


class _Hashed:
    """The NSEC3 records of a zone, at a moment."""

    def __init__(self, gaps: Gaps[bytes, Nsec3Record], now: float):
        self._gaps = gaps
        self._now = now

    def match(self, hashed: bytes) -> Nsec3Record | None:
        found = self._gaps.find(hashed, self._now)
        return found if found is not None and found.owner == hashed else None

    def cover(self, hashed: bytes) -> Nsec3Record | None:
        found = self._gaps.find(hashed, self._now)
        return found if found is not None and found.owner != hashed else None


class AggressiveZone:
    """What is known of one zone. NSEC3 records of one set of parameters only: a zone that changes them has the new ones."""

    def __init__(self, zone: Name):
        self._zone = zone
        self._soa: RRset | None = None
        self._soa_expires = 0.0
        self._ttl = 0
        self._names: Gaps[tuple[bytes, ...], NsecRecord] = Gaps()
        self._hashes: Gaps[bytes, Nsec3Record] = Gaps()
        self._parameters = 0, b""
        self._wildcards: OrderedDict[tuple[Name, int], tuple[RRset, float]] = OrderedDict()
        self._wildcards_size = 0

    @property
    def size(self) -> int:
        """Octets held, estimated."""
        return _ZONE + self._names.size + self._hashes.size + self._wildcards_size

    @property
    def is_empty(self) -> bool:
        """Whether it denies nothing."""
        return not (self._names or self._hashes)

    def learn_soa(self, soa: RRset, now: float) -> None:
        """The zone's SOA, verified: no denial outlives it. One of another zone, or that cannot be read, counts for nothing."""
        if soa.owner != self._zone:
            return
        try:
            minimum = rdata.soa(soa.rdatas[0]).minimum
        except ValueError:
            return
        self._soa = soa
        self._soa_expires = now + soa.ttl
        self._ttl = min(soa.ttl, minimum)

    def learn(self, rrset: RRset, now: float) -> None:
        """An NSEC or NSEC3 RRset, verified; what cannot be used, and other types, count for nothing."""
        # RFC 9077 §3: no denial counts for longer than the SOA beside it says that one does.
        expires = now + min(rrset.ttl, self._ttl)
        size = _RECORD + weight.rrset(rrset)
        if rrset.rtype == codes.NSEC:
            record = nsec_record(rrset, self._zone)
            if record is not None:
                size += _LABEL * (len(record.key) + len(record.next_key))
                self._names.put(record.key, record.next_key, record, now, expires, size)
        elif rrset.rtype == codes.NSEC3 and len(rrset.rdatas) == 1:
            for data in parsed(rrset, self._zone):
                # Under Opt-Out a gap may hold delegations (RFC 8198 §5.2).
                hashed = None if data.is_opt_out or beyond(data) else nsec3_record(rrset, data)
                if hashed is not None:
                    if self._parameters != (data.iterations, data.salt):
                        self._parameters = data.iterations, data.salt
                        self._hashes = Gaps()
                    self._hashes.put(hashed.owner, data.next_hash, hashed, now, expires, size)

    def shrink(self, size: int) -> None:
        """Forget until it takes no more than so many octets."""
        while self.size > size and self._wildcards_size > size // 2:
            self._drop_wildcard(next(iter(self._wildcards)))
        while self.size > size and not self.is_empty:
            (self._names or self._hashes).drop_oldest()

    def learn_wildcard(self, encloser: Name, rrset: RRset, now: float) -> None:
        """An RRset verified as expanded from the wildcard below `encloser`."""
        if is_subdomain(encloser, self._zone):
            key = encloser, rrset.rtype
            if key in self._wildcards:
                self._drop_wildcard(key)
            self._wildcards[key] = rrset, now + rrset.ttl
            self._wildcards_size += _WILDCARD + weight.rrset(rrset)

    def _drop_wildcard(self, key: tuple[Name, int]) -> None:
        self._wildcards_size -= _WILDCARD + weight.rrset(self._wildcards.pop(key)[0])

    def find(self, name: Name, rtype: int, now: float) -> Synthesised | None:
        """A denial of the type or of the name (lower case), else a wildcard's answer, if what is known proves it."""
        return self._denial(name, rtype, now) or self._answer(name, rtype, now)

    def _answer(self, name: Name, rtype: int, now: float) -> SynthesisedAnswer | None:
        if not self._wildcards:
            return None
        for above in ancestors(name)[1:]:
            for kind in (rtype, codes.CNAME):
                known = self._wildcards.get((above, kind))
                if known is not None and now < known[1] and (record := self._no_closer(name, above, now)) is not None:
                    proof, left = self._aged(record, now)
                    ttl = int(min(known[1] - now, left))
                    return SynthesisedAnswer(replace(known[0], owner=name, ttl=ttl), (proof,)) if ttl > 0 else None
            if above == self._zone:
                break
        return None

    def _no_closer(self, name: Name, encloser: Name, now: float) -> NsecRecord | Nsec3Record | None:
        """What proves that the wildcard below `encloser` answers for the name."""
        named = self._names.find(name_key(name), now)
        if named is not None and NsecProofs([named]).wildcard(name, encloser).proof is Proof.PROVEN:
            return named
        proofs = self._hashed_proofs(now)
        if proofs is not None:
            try:
                return proofs.cover(suffix(name, label_count(encloser) + 1))
            except _TooMany:
                pass
        return None

    def _hashed_proofs(self, now: float) -> Nsec3Proofs | None:
        if not self._hashes:
            return None
        iterations, salt = self._parameters
        return Nsec3Proofs(_Hashed(self._hashes, now), iterations, salt, self._zone, _Rounds(iterations))

    def _aged(self, record: NsecRecord | Nsec3Record, now: float) -> tuple[RRset, float]:
        """Its RRset with what is left of its TTL, and for how many seconds it still counts."""
        learnt, expires = self._names.life(record.key) if isinstance(record, NsecRecord) else self._hashes.life(record.owner)
        ttl = max(0, record.rrset.ttl - int(now - learnt))
        return replace(record.rrset, ttl=ttl, security=Security.SECURE), expires - now

    def _denial(self, name: Name, rtype: int, now: float) -> SynthesisedDenial | None:
        if self._soa is None or now >= self._soa_expires:
            return None
        found = self._by_name(name, rtype, now) or self._by_hash(name, rtype, now)
        if found is None:
            return None
        nxdomain, records = found
        left, proofs = self._soa_expires - now, []
        for record in records:
            proof, counts = self._aged(record, now)
            left = min(left, counts)
            proofs.append(proof)
        if left < 1:
            return None
        return SynthesisedDenial(nxdomain, replace(self._soa, ttl=int(left), security=Security.SECURE), each_once(proofs))

    def _by_name(self, name: Name, rtype: int, now: float) -> tuple[bool, list[NsecRecord]] | None:
        key = name_key(name)
        first = self._names.find(key, now)
        if first is None or not (first.owner == name or first.covers(name, key)):
            # Most often: the delegation that the name is below.
            return None
        records = [first]
        if first.owner != name and not first.is_above_next(name):
            second = self._names.find(name_key(WILDCARD + first.encloser(name)), now)
            if second is None:
                return None
            records.append(second)
        proofs = NsecProofs(records)
        if proofs.nodata(name, rtype).proof is Proof.PROVEN:
            return False, records
        return (True, records) if proofs.nxdomain(name).proof is Proof.PROVEN else None

    def _by_hash(self, name: Name, rtype: int, now: float) -> tuple[bool, list[Nsec3Record]] | None:
        proofs = self._hashed_proofs(now)
        if proofs is None:
            return None
        try:
            nodata = proofs.nodata(name, rtype).proof is Proof.PROVEN
            if not nodata and proofs.nxdomain(name).proof is not Proof.PROVEN:
                return None
            match = proofs.match(name)
            if match is not None:
                return False, [match]
            encloser = proofs.encloser(name)
            if encloser is None:
                return None
            wildcard = WILDCARD + encloser.name
            last = proofs.match(wildcard) if nodata else proofs.cover(wildcard)
        except _TooMany:
            return None
        return (not nodata, [encloser.match, encloser.cover, last]) if last is not None else None
