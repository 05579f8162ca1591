"""An RRset, its signatures and its zone's keys: verified, or why not (RFC 4035 §5.2, §5.3).

One signature that holds is enough, whatever is wrong with others (RFC 6840 §5.11). The words say nothing of the RRset's name,
which whoever asked for it knows.
"""

from typing import Final, TypeAlias

from resolverd import bounds
from resolverd.resolver.iterator.work import Work
from resolverd.resolver.validator.algorithms import SHA1 as DIGEST_SHA1
from resolverd.resolver.validator.algorithms import (
    Policy,
    PublicKey,
    algorithm_text,
    ds_digest,
    is_too_weak,
    load_key,
    supported_algorithm,
    supported_digest,
)
from resolverd.resolver.validator.clock_check import Window
from resolverd.values import Value
from resolverd.wire import codes
from resolverd.wire.canonical import signed_data
from resolverd.wire.dnssec import Dnskey, Ds, Rrsig, dnskey, ds, expanded_from, key_tag, rrsig
from resolverd.wire.names import Name, is_subdomain, label_count, to_text
from resolverd.wire.rrset import RRset

_SERIALS: Final = 1 << 32
_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


class ZoneKey(Value, frozen=True):
    """A key of a DNSKEY RRset and its tag; that it is in there doesn't mean that it may sign."""

    tag: int
    key: Dnskey


class Verified(Value, frozen=True):
    """A signature holds. `ttl`: seconds for which the RRset may be kept (RFC 4035 §5.3.3). `wildcard`: the name whose child ``*``
    was expanded to the owner, which still has to be proven right (RFC 4035 §5.3.4)."""

    ttl: int
    wildcard: Name | None
    key_tag: int
    algorithm: int


class Unverified(Value, frozen=True):
    """None does: why, as an Extended DNS Error. `window`: when one would count (Unix seconds), which holds but for the time."""

    code: int
    text: str
    window: Window | None = None

    @property
    def time(self) -> bool:
        """Whether but for the time at which it is looked at, one would."""
        return self.window is not None


class Trusted(Value, frozen=True):
    """The keys of a zone, because one that is trusted has signed them; `ttl` as that of Verified."""

    keys: tuple[ZoneKey, ...]
    ttl: int


class NoSupported(Value, frozen=True):
    """Nothing that a zone is trusted by can be evaluated: it counts as not signed (RFC 4035 §5.2). An Extended DNS Error."""

    code: int
    text: str


_Candidate: TypeAlias = tuple[Rrsig, ZoneKey, PublicKey]


def zone_keys(dnskey_rrset: RRset) -> tuple[ZoneKey, ...]:
    """Every key of a DNSKEY RRset that can be read."""
    return tuple(key for key, _ in _readable(dnskey_rrset))


def _readable(dnskey_rrset: RRset) -> list[tuple[ZoneKey, bytes]]:
    """The same, each with its rdata."""
    found = []
    for rdata in dnskey_rrset.rdatas:
        try:
            found.append((ZoneKey(key_tag(rdata), dnskey(rdata)), rdata))
        except (ValueError, IndexError):
            continue
    return found


def verify(rrset: RRset, zone: Name, keys: tuple[ZoneKey, ...], wall: float, work: Work, policy: Policy) -> Verified | Unverified:
    """Whether one of the zone's keys has signed this RRset, and the signature is in force (RFC 4035 §5.3).

    `zone` is in lower case, `wall` in Unix seconds. Raises TooMuch.
    """
    return _Verification(rrset, zone, keys, wall, work, policy).run()


class _Verification:
    """One RRset against one zone's keys; remembers the fault that tells most."""

    def __init__(self, rrset: RRset, zone: Name, keys: tuple[ZoneKey, ...], wall: float, work: Work, policy: Policy):
        self._rrset = rrset
        self._zone = zone
        self._keys = keys
        self._wall = int(wall)
        self._work = work
        self._policy = policy
        self._failures = 0
        self._fault = Unverified(codes.EDE_RRSIGS_MISSING, "not signed")
        self._rank = 0

    def run(self) -> Verified | Unverified:
        untimely: list[tuple[Rrsig, Unverified]] = []
        for rdata in self._rrset.sigs:
            try:
                sig = rrsig(rdata)
            except ValueError:
                self._note(1, Unverified(codes.EDE_RRSIGS_MISSING, "signed with what is no signature"))
                continue
            if not self._fits(sig):
                continue
            if fault := self._time_fault(sig):
                untimely.append((sig, fault))
            elif verified := self._by_any_key(sig):
                return verified
        for sig, fault in untimely:
            self._note(4, fault)
            if self._failures < bounds.MAX_FAILED_PER_RRSET and self._by_any_key(sig):
                return Unverified(fault.code, fault.text, window_of(sig, self._wall))
        return self._fault

    def _note(self, rank: int, fault: Unverified) -> None:
        if rank > self._rank:
            self._rank, self._fault = rank, fault

    def _fits(self, sig: Rrsig) -> bool:
        """RFC 4035 §5.3.1 but for time and key; the signer's labels: CVE-2026-44690 and its kin."""
        rrset, zone = self._rrset, self._zone
        if sig.covered != rrset.rtype:
            fault = f"signature of type {codes.type_text(sig.covered)}"
        elif sig.signer != zone:
            fault = f"signed by {to_text(sig.signer)}, not by {to_text(zone)}"
        elif not is_subdomain(rrset.owner, zone):
            fault = f"signed by {to_text(zone)}, which it is not in"
        elif not label_count(zone) <= sig.labels <= label_count(rrset.owner):
            fault = f"signature that counts {sig.labels} labels"
        else:
            return True
        self._note(2, Unverified(codes.EDE_BOGUS, fault))
        return False

    def _time_fault(self, sig: Rrsig) -> Unverified | None:
        # RFC 4034 §3.1.5: times are serial numbers; what lies 68 years ahead lies behind.
        left, since = _serial(sig.expiration - self._wall), _serial(self._wall - sig.inception)
        life = _serial(sig.expiration - sig.inception)
        skew = min(max(life // 10, self._policy.min_skew), self._policy.max_skew)
        if life < 0:
            return Unverified(codes.EDE_EXPIRED, f"{_by(sig)} ends before it begins")
        if left < -skew:
            return Unverified(codes.EDE_EXPIRED, f"{_by(sig)} expired {_duration(-left)} ago")
        if since < -skew:
            return Unverified(codes.EDE_NOT_YET_VALID, f"{_by(sig)} begins in {_duration(-since)}")
        return None

    def _by_any_key(self, sig: Rrsig) -> Verified | None:
        """Whether a key verifies it. Raises TooMuch."""
        for key, public in self._candidates(sig):
            if self._failures >= bounds.MAX_FAILED_PER_RRSET:
                break
            self._work.charge_verification()
            try:
                holds = public.verify(sig.signature, signed_data(self._rrset, sig))
            except ValueError as error:
                self._note(5, Unverified(codes.EDE_BOGUS, f"cannot be signed: {error}"))
                break
            if holds:
                self._work.working_keys.add(key.key.public)
                return self._verified(sig)
            self._failures += 1
            self._note(5, Unverified(codes.EDE_BOGUS, f"{_by(sig)} does not fit"))
            self._work.charge_failure()
        return None

    def _candidates(self, sig: Rrsig) -> list[tuple[ZoneKey, PublicKey]]:
        """The keys that may have made it, in the order in which to try them."""
        named = [key for key in self._keys if key.tag == sig.key_tag and key.key.algorithm == sig.algorithm]
        if len(named) > 1:
            named.sort(key=lambda each: each.key.public not in self._work.working_keys)
        found: list[tuple[ZoneKey, PublicKey]] = []
        for key in named:
            if len(found) == bounds.MAX_KEYS_PER_TAG:
                break
            if key.key.is_zone_key and not key.key.is_revoked and (public := load_key(key.key, self._policy)) is not None:
                found.append((key, public))
        if not found:
            self._note(3, self._key_fault(sig, named))
        return found

    def _key_fault(self, sig: Rrsig, named: list[ZoneKey]) -> Unverified:
        """Why none of the keys that a signature names may have made it."""
        if not named:
            return Unverified(codes.EDE_DNSKEY_MISSING, f"{_by(sig)}, of which {to_text(self._zone)} has none that counts")
        key = named[-1].key
        if not supported_algorithm(sig.algorithm, self._policy):
            return Unverified(codes.EDE_UNSUPPORTED_ALGORITHM, f"{_by(sig)}, an algorithm that does not count")
        if not key.is_zone_key:
            return Unverified(codes.EDE_NO_ZONE_KEY_BIT, f"{_by(sig)}, which is not meant for a zone's data")
        if key.is_revoked:
            return Unverified(codes.EDE_BOGUS, f"{_by(sig)}, which is revoked")
        what = "too weak or too large" if is_too_weak(key, self._policy) else "no key"
        return Unverified(codes.EDE_UNSUPPORTED_ALGORITHM, f"{_by(sig)}, which is {what}")

    def _verified(self, sig: Rrsig) -> Verified:
        # RFC 4035 §5.3.3
        left = max(_serial(sig.expiration - self._wall), 0)
        ttl = min(self._rrset.ttl, sig.original_ttl, left)
        return Verified(ttl, expanded_from(self._rrset.owner, sig.labels), sig.key_tag, sig.algorithm)


def window_of(sig: Rrsig, wall: float) -> Window:
    """When a signature counts, its times read as those nearest to now (RFC 4034 §3.1.5)."""
    now = int(wall)
    return Window(now + _serial(sig.inception - now), now + _serial(sig.expiration - now))


def oldest_in_force(rrset: RRset, wall: float) -> Window | None:
    """When that one of an RRset's signatures counts which has begun first, of those that count now by what they say."""
    windows = []
    for rdata in rrset.sigs:
        try:
            windows.append(window_of(rrsig(rdata), wall))
        except ValueError:
            continue
    return min((each for each in windows if each.begins <= wall <= each.ends), key=lambda each: each.begins, default=None)


def supported_ds(ds_rdatas: tuple[bytes, ...], policy: Policy) -> tuple[Ds, ...] | NoSupported | Unverified:
    """The records of an authenticated DS RRset that count; NoSupported if none does (RFC 4035 §5.2)."""
    readable = []
    for rdata in ds_rdatas:
        try:
            readable.append(ds(rdata))
        except ValueError:
            continue
    if not readable:
        return Unverified(codes.EDE_BOGUS, "no DS record that can be read")
    return _supported(tuple(readable), policy)


def _supported(records: tuple[Ds, ...], policy: Policy) -> tuple[Ds, ...] | NoSupported:
    known = [each for each in records if supported_algorithm(each.algorithm, policy)]
    if not known:
        algorithms = ", ".join(sorted({algorithm_text(each.algorithm) for each in records}))
        return NoSupported(codes.EDE_UNSUPPORTED_ALGORITHM, f"no supported algorithm in its DS records ({algorithms})")
    counting = [each for each in known if supported_digest(each.digest_type, policy)]
    if not counting:
        types = ", ".join(map(str, sorted({each.digest_type for each in known})))
        return NoSupported(codes.EDE_UNSUPPORTED_DIGEST, f"no supported digest type in its DS records ({types})")
    # RFC 4509 §3: SHA-1 only where there is nothing better, or it would be as strong as SHA-1
    stronger = [each for each in counting if each.digest_type != DIGEST_SHA1]
    return tuple(stronger or counting)[: bounds.MAX_DS]


def match_ds(
    ds_records: tuple[Ds, ...], dnskey_rrset: RRset, zone: Name, wall: float, work: Work, policy: Policy
) -> Trusted | Unverified | NoSupported:
    """A zone's keys, if one that an authenticated DS (or a trust anchor) names has signed all of them (RFC 4035 §5.2).

    NoSupported if nothing that it is trusted by counts, or names keys that don't; then the zone is insecure. Raises TooMuch.
    """
    records = _supported(ds_records, policy)
    if isinstance(records, NoSupported):
        return records
    if len(dnskey_rrset.rdatas) > bounds.MAX_DNSKEYS:
        return Unverified(codes.EDE_BOGUS, f"{len(dnskey_rrset.rdatas)} keys, {bounds.MAX_DNSKEYS} at most")
    keys = _readable(dnskey_rrset)
    entries: list[ZoneKey] = []
    weak = 0
    for record in records:
        key = _named_by(record, keys, zone)
        if key is None:
            continue
        if is_too_weak(key.key, policy):
            weak += 1
        elif key not in entries:
            entries.append(key)
    if weak == len(records):
        # Every one, or whoever can take a good key away could have the zone taken for one that isn't signed.
        return NoSupported(codes.EDE_UNSUPPORTED_ALGORITHM, "all keys that its DS records name are too weak")
    if not entries:
        tags = ", ".join(str(each.key_tag) for each in records)
        return Unverified(codes.EDE_DNSKEY_MISSING, f"none of the keys is one of its DS records (key tags {tags})")
    verified = verify(dnskey_rrset, zone, tuple(entries), wall, work, policy)
    if isinstance(verified, Unverified):
        return verified
    return Trusted(tuple(key for key, _ in keys if len(key.key.public) <= bounds.MAX_PUBLIC_KEY), verified.ttl)


def _named_by(record: Ds, keys: list[tuple[ZoneKey, bytes]], zone: Name) -> ZoneKey | None:
    """The key whose digest this is, whether it may sign or not."""
    alike = [each for each in keys if each[0].tag == record.key_tag and each[0].key.algorithm == record.algorithm]
    for each, rdata in alike[: bounds.MAX_KEYS_PER_TAG]:
        if ds_digest(zone, rdata, record.digest_type) == record.digest:
            return each
    return None


def _serial(difference: int) -> int:
    """The difference of two serial numbers of 32 bits (RFC 1982 §3.2)."""
    return (difference + _SERIALS // 2) % _SERIALS - _SERIALS // 2


def _by(sig: Rrsig) -> str:
    return f"signature by key {sig.key_tag} ({algorithm_text(sig.algorithm)})"


def _duration(seconds: int) -> str:
    for size, unit in _UNITS:
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "0 seconds"
