"""The chain of trust (RFC 4035 §5): from the closest trust anchor down to the zone of a name, DS by DS and key by key.

At each zone cut the parent says with a DS RRset by which keys the child signs, or proves that it has none, or that there is no
cut. Which names are asked about is found out from the delegations that iteration has met, else label by label. Whatever is
fetched is asked for as iteration asks, under the budget of the question that it is for.
"""

from collections.abc import Callable, Generator
from typing import Any, Final

from resolverd import bounds
from resolverd.resolver.cache import Caches
from resolverd.resolver.iterator.budget import QueryBudget, TrustLink
from resolverd.resolver.iterator.lookup import negative_of
from resolverd.resolver.iterator.response import (
    Conclusion,
    DnameTooLong,
    Negative,
    Positive,
    Referral,
    Response,
    Unusable,
)
from resolverd.resolver.iterator.validation import Bogus, Fetch, Path, Source, Sourced
from resolverd.resolver.validator import denial, nta
from resolverd.resolver.validator.algorithms import algorithm_text
from resolverd.resolver.validator.clock_check import Window
from resolverd.resolver.validator.denial import Proof
from resolverd.resolver.validator.keys import BogusZone, InsecureZone, SecureZone, ZoneStatus
from resolverd.resolver.validator.signatures import (
    NoSupported,
    Unverified,
    Verified,
    ZoneKey,
    match_ds,
    oldest_in_force,
    supported_ds,
    verify,
    zone_keys,
)
from resolverd.resolver.validator.trust import TrustState
from resolverd.values import Value, replace
from resolverd.wire import codes
from resolverd.wire.codes import type_text
from resolverd.wire.dnssec import Ds, rrsig
from resolverd.wire.names import ROOT, Name, is_subdomain, parent, to_text
from resolverd.wire.rrset import RRset, Security, Trust

_SECURITY: Final = {SecureZone: Security.SECURE, InsecureZone: Security.INSECURE, BogusZone: Security.BOGUS}


class _Deeper(Value, frozen=True):
    """It is signed by a zone between the two, of which nothing was known."""

    zone: Name


class Chain:
    """Finds out the status of zones, and remembers it in `trust`."""

    def __init__(self, trust: TrustState, caches: Caches, fetch: Fetch, island: Callable[[Name], Name | None]):
        """`island`: the zone at or above a name whose servers are configured: it may be known to them alone."""
        self._trust = trust
        self._caches = caches
        self._fetch = fetch
        self._island = island

    def zone_of(
        self, budget: QueryBudget, name: Name, path: Path, signer: Name | None = None, offered: RRset | None = None
    ) -> Generator[Any, Any, ZoneStatus]:
        """The status of the zone that a name (lower case) is in; with a `signer`, of the deepest one at or above that.

        `offered`: a DNSKEY RRset that need not be asked for. A zone whose servers are configured may be unknown to its parent.
        """
        target = name if signer is None else signer
        trust = self._trust
        if (negative := trust.negative_anchor(name)) is not None:
            return self._found(budget, InsecureZone(negative, nta.described(negative, trust.negative[negative])))
        if (fault := trust.clock.fault(budget.wall)) is not None and not budget.checks_clock:
            return self._found(budget, InsecureZone(ROOT, fault))
        zone = trust.keys.closest(target, budget.now)
        anchor = trust.anchors.closest(target)
        if zone is None or (anchor is not None and len(zone.zone) < len(anchor.zone)):
            if anchor is None:
                return self._found(budget, InsecureZone(target, "no trust anchor"))
            zone = yield from self._keys_of(budget, anchor.zone, anchor.ds, float("inf"), path, offered)
        below, island = zone.zone, self._island(name)
        while isinstance(zone, SecureZone) and below != target:
            cut = self._next_cut(below, target, budget.now)
            while isinstance(step := (yield from self._cut(budget, zone, cut, path, offered)), _Deeper):
                cut = step.zone
            if step is not None:
                zone, below = step, step.zone
            elif cut == island:
                break
            else:
                below = cut
        if not isinstance(zone, InsecureZone) and island is not None and len(island) > len(zone.zone):
            return InsecureZone(island, "configured, and without a chain of trust")
        return zone

    def _next_cut(self, below: Name, target: Name, now: float) -> Name:
        """The next name below `below`, on the way to `target`, at which there may be a zone cut."""
        met = [each.zone for each in self._caches.delegations.enclosing(target, now) if len(each.zone) > len(below)]
        if met:
            return met[-1]
        name = target
        while len(above := parent(name)) > len(below):
            name = above
        return name

    def _cut(
        self, budget: QueryBudget, zone: SecureZone, cut: Name, path: Path, offered: RRset | None
    ) -> Generator[Any, Any, ZoneStatus | _Deeper | None]:
        """What is at a name in a secure zone: the status of the zone that is cut off there, None for no cut."""
        known = self._trust.keys.closest(cut, budget.now)
        if known is not None and known.zone == cut:
            return known
        response: Response | None = self._cached_ds(cut, budget.now)
        source: Source | None = None
        bogus: Bogus | None = None
        for _ in range(bounds.MAX_BOGUS_ANSWERS):
            if response is None:
                response, source = yield from self._ask(budget, cut, codes.DS, path)
            if isinstance(response, Unusable | Referral):
                why = response.text if isinstance(response, Unusable) else "a referral"
                bogus = bogus or Bogus(codes.EDE_NO_REACHABLE_AUTHORITY, f"no DS of {to_text(cut)}: {why}")
                break
            found = self._judge_ds(budget, zone, cut, response)
            if isinstance(found, RRset):
                return (yield from self._delegated(budget, cut, found, path, offered))
            if not isinstance(found, Bogus):
                if isinstance(found, InsecureZone):
                    self._trust.keys.put(found)
                    self._found(budget, found)
                return found
            bogus = found
            if source is not None:
                budget.distrust(source.zone, source.server)
            response = source = None
        return self._broken(budget, cut, bogus)

    def _ask(self, budget: QueryBudget, name: Name, rtype: int, path: Path) -> Generator[Any, Any, Sourced]:
        """What a server says of a name's keys. What is verified by itself may be from somebody's cache as well."""
        response, source = yield from self._fetch(budget, name, rtype, path)
        if isinstance(response, Unusable) and response.last_resort is not None:
            return response.last_resort, None
        return response, source

    def _cached_ds(self, cut: Name, now: float) -> Conclusion | None:
        """What a referral, or an answer, has said of a DS."""
        hit = self._caches.rrsets.get(cut, codes.DS, now, Trust.REFERRAL)
        if hit is None:
            return None
        return negative_of(hit, cut, codes.DS) if hit.rrset is None else Positive((hit.rrset,), hit=hit, trust=hit.trust)

    def _judge_ds(
        self, budget: QueryBudget, zone: SecureZone, cut: Name, response: Conclusion
    ) -> RRset | InsecureZone | Bogus | _Deeper | None:
        """The DS RRset that a response to the question for it holds, verified; or what it proves instead (RFC 4035 §5.2)."""
        if not isinstance(response, Negative) or response.chain:
            first = response.chain[0]
            if (deeper := self._signed_deeper(first, zone.zone, cut)) is not None:
                return deeper
            verified = self.verified(budget, first, zone)
            if isinstance(verified, Bogus):
                return verified
            if verified.wildcard is not None:
                # A wildcard is nothing that a name with a delegation could be answered from (RFC 4592 §4.2).
                proofs = () if isinstance(response, (Negative, DnameTooLong)) else response.authority
                proofs, fault = self.verified_proofs(budget, proofs, zone)
                proof, why = denial.wildcard(proofs, zone.zone, cut, verified.wildcard, budget.work)
                if proof is not Proof.PROVEN or first.rtype == codes.DS:
                    return fault or Bogus(codes.EDE_NSEC_MISSING, f"{to_text(cut)} DS is from a wildcard: {why}")
            if first.rtype != codes.DS:
                return None  # an alias stands beside no delegation (RFC 2181 §10.1)
            self._learn(first, verified, budget.now)
            return replace(first, ttl=verified.ttl)
        if response.hit is not None and response.security is Security.INSECURE:
            return InsecureZone(cut, "opt-out", budget.now + response.ttl)
        for rrset in response.proofs:
            if (deeper := self._signed_deeper(rrset, zone.zone, cut)) is not None:
                return deeper
        proofs, fault = self.verified_proofs(budget, response.proofs, zone)
        result, why = denial.no_ds(proofs, zone.zone, cut, budget.work)
        ttl = min((each.ttl for each in proofs), default=0)
        if result is denial.NoDs.MISSING:
            return fault or Bogus(codes.EDE_NSEC_MISSING, f"no proof that {to_text(cut)} has no DS: {why}")
        if result is denial.NoDs.NO_CUT:
            return None
        text = "a delegation without DS" if result is denial.NoDs.INSECURE_DELEGATION else why
        return InsecureZone(cut, f"{to_text(cut)}: {text}", budget.now + min(ttl, bounds.MAX_DELEGATION_TTL))

    def _delegated(
        self, budget: QueryBudget, zone: Name, ds: RRset, path: Path, offered: RRset | None
    ) -> Generator[Any, Any, ZoneStatus]:
        """The status of a zone whose parent has signed this DS RRset."""
        usable = supported_ds(ds.rdatas, self._trust.policy)
        until = budget.now + ds.ttl
        if isinstance(usable, NoSupported):
            insecure = InsecureZone(zone, f"{to_text(zone)}: {usable.text}", until)
            self._trust.keys.put(insecure)
            return self._found(budget, insecure)
        if isinstance(usable, Unverified):
            return self._broken(budget, zone, Bogus(usable.code, usable.text))
        return (yield from self._keys_of(budget, zone, usable, until, path, offered))

    def _keys_of(
        self, budget: QueryBudget, zone: Name, ds: tuple[Ds, ...], until: float, path: Path, offered: RRset | None
    ) -> Generator[Any, Any, ZoneStatus]:
        """The status of a zone by the digests of its keys, which count `until` then (monotonic seconds)."""
        response: Response | None = None
        source: Source | None = None
        if offered is not None and offered.owner == zone:
            response = Positive((offered,))
        elif (hit := self._caches.rrsets.get(zone, codes.DNSKEY, budget.now)) is not None and hit.rrset is not None:
            response = Positive((hit.rrset,), hit=hit)
        bogus: Bogus | None = None
        untimely: list[Window | None] = []
        keys: RRset | None = None
        for _ in range(bounds.MAX_BOGUS_ANSWERS):
            if response is None:
                response, source = yield from self._ask(budget, zone, codes.DNSKEY, path)
                # Others who waited for the same reply have verified it meanwhile.
                known = self._trust.keys.closest(zone, budget.now)
                if known is not None and known.zone == zone and isinstance(known, SecureZone):
                    return known
            if not isinstance(response, Positive) or response.chain[-1].rtype != codes.DNSKEY or len(response.chain) > 1:
                why = response.text if isinstance(response, Unusable) else response.describe()
                silent = isinstance(response, Unusable) and response.silent
                code = codes.EDE_NO_REACHABLE_AUTHORITY if silent else codes.EDE_DNSKEY_MISSING
                bogus = bogus or Bogus(code, f"no DNSKEY of {to_text(zone)}: {why}")
                if isinstance(response, Unusable):
                    break
            else:
                keys = response.chain[0]
                trusted = match_ds(ds, keys, zone, budget.wall, budget.work, self._trust.policy)
                if isinstance(trusted, NoSupported):
                    insecure = InsecureZone(zone, f"{to_text(zone)}: {trusted.text}", min(until, budget.now + keys.ttl))
                    self._trust.keys.put(insecure)
                    return self._found(budget, insecure, ds, keys)
                if not isinstance(trusted, Unverified):
                    if zone == ROOT and (window := oldest_in_force(keys, budget.wall)) is not None:
                        self._trust.clock.confirmed(window, budget.wall, budget.begun)
                    secure = SecureZone(zone, trusted.keys, min(until, budget.now + max(trusted.ttl, 1)))
                    self._trust.keys.put(secure)
                    if offered is not keys:
                        rrset = replace(keys, ttl=trusted.ttl, security=Security.SECURE)
                        self._caches.rrsets.put(rrset, Trust.VALIDATED, budget.now, zone)
                    return self._found(budget, secure, ds, keys)
                bogus = Bogus(trusted.code, f"{to_text(zone)} DNSKEY: {trusted.text}")
                untimely.append(trusted.window)
            if source is not None:
                budget.distrust(source.zone, source.server)
            response = source = None
        windows = [each for each in untimely if each is not None]
        if zone == ROOT and len(windows) == len(untimely):
            fault = self._trust.clock.judge(windows, budget.wall, budget.begun)
            if fault is not None:
                return self._found(budget, InsecureZone(ROOT, fault), ds, keys)
        return self._broken(budget, zone, bogus, ds, keys)

    def _found(
        self, budget: QueryBudget, status: ZoneStatus, ds: tuple[Ds, ...] = (), dnskeys: RRset | None = None
    ) -> ZoneStatus:
        """The status, told to whoever traces the question, with the zone's DS and keys as far as they were seen."""
        if budget.traced:
            digests = tuple(f"{each.key_tag} {algorithm_text(each.algorithm)} digest {each.digest_type}" for each in ds)
            keys = tuple(map(_in_words, zone_keys(dnskeys))) if dnskeys is not None else ()
            text = "" if isinstance(status, SecureZone) else status.text
            security = _SECURITY[type(status)]
            budget.trace_link(TrustLink(status.zone, security, text, digests, keys))
        return status

    def _broken(
        self,
        budget: QueryBudget,
        zone: Name,
        bogus: Bogus | None,
        ds: tuple[Ds, ...] = (),
        keys: RRset | None = None,
    ) -> ZoneStatus:
        """A zone without the chain of trust that it should have. Not for long: its operator mends it, and mail waits."""
        bogus = bogus or Bogus(codes.EDE_BOGUS, f"{to_text(zone)}: no chain of trust")
        broken = BogusZone(zone, bogus.code, bogus.text, budget.now + bounds.BOGUS_TTL)
        self._trust.keys.put(broken)
        return self._found(budget, broken, ds, keys)

    def verified(self, budget: QueryBudget, rrset: RRset, zone: SecureZone) -> Verified | Bogus:
        """Whether an RRset is signed by the zone."""
        if rrset.security is Security.SECURE:
            return Verified(rrset.ttl, None, 0, 0)
        result = verify(rrset, zone.zone, zone.keys, budget.wall, budget.work, self._trust.policy)
        if isinstance(result, Unverified):
            return Bogus(result.code, f"{to_text(rrset.owner)} {type_text(rrset.rtype)}: {result.text}")
        return result

    def verified_proofs(
        self, budget: QueryBudget, proofs: tuple[RRset, ...], zone: SecureZone
    ) -> tuple[tuple[RRset, ...], Bogus | None]:
        """Those of the NSEC and NSEC3 RRsets that the zone has signed as they stand, and the fault of one of the others."""
        good, fault = [], None
        for proof in proofs[: bounds.MAX_PROOFS]:
            verified = self.verified(budget, proof, zone)
            if isinstance(verified, Bogus):
                fault = fault or verified
            elif verified.wildcard is None:
                good.append(replace(proof, ttl=verified.ttl, security=Security.SECURE))
        return tuple(good), fault

    def _signed_deeper(self, rrset: RRset, zone: Name, cut: Name) -> _Deeper | None:
        for signer in signers(rrset):
            if signer != zone and signer != cut and is_subdomain(signer, zone) and is_subdomain(cut, signer):
                return _Deeper(signer)
        return None

    def _learn(self, rrset: RRset, verified: Verified, now: float) -> None:
        if rrset.security is not Security.SECURE:
            secure = replace(rrset, ttl=verified.ttl, security=Security.SECURE)
            self._caches.rrsets.put(secure, Trust.VALIDATED, now, rrset.owner)


def _in_words(key: ZoneKey) -> str:
    flags = [name for name, set_ in (("SEP", key.key.is_sep), ("revoked", key.key.is_revoked)) if set_]
    return " ".join((str(key.tag), algorithm_text(key.key.algorithm), *flags))


def signers(rrset: RRset) -> list[Name]:
    """Who says to have signed an RRset, in lower case, of those who may: zones at or above its owner, the deepest first."""
    found = set()
    for data in rrset.sigs:
        try:
            signer = rrsig(data).signer
        except ValueError:
            continue
        if is_subdomain(rrset.owner, signer) and (rrset.rtype != codes.DS or signer != rrset.owner):
            found.add(signer)
    return sorted(found, key=len, reverse=True)
