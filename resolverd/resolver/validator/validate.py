"""Whether what a server says is secure, insecure or bogus (RFC 4035 §5): each RRset of a chain, and each denial."""

from collections.abc import Callable, Generator
from typing import Any

from resolverd import bounds
from resolverd.resolver.cache import Caches
from resolverd.resolver.iterator.budget import QueryBudget
from resolverd.resolver.iterator.response import Cname, Conclusion, Negative, Positive, Referral
from resolverd.resolver.iterator.validation import Bogus, Fetch, Path
from resolverd.resolver.iterator.work import TooMuch
from resolverd.resolver.validator import denial
from resolverd.resolver.validator.aggressive_zone import SynthesisedDenial
from resolverd.resolver.validator.chain import Chain, signers
from resolverd.resolver.validator.denial import Proof
from resolverd.resolver.validator.keys import BogusZone, InsecureZone, SecureZone
from resolverd.resolver.validator.trust import TrustState
from resolverd.values import replace
from resolverd.wire import codes, rdata
from resolverd.wire.names import ROOT, Name, lower, parent, to_text
from resolverd.wire.rrset import RRset, Security, Trust, each_once


class Validator:
    """Validates over one set of caches. What it finds out of zones is in `trust`."""

    def __init__(self, trust: TrustState, caches: Caches, fetch: Fetch, island: Callable[[Name], Name | None]):
        """`island` as `Chain` has it."""
        self._trust = trust
        self._aggressive = trust.aggressive
        self._island = island
        self._rrsets = caches.rrsets
        self._chain = Chain(trust, caches, fetch, island)

    def validate(self, budget: QueryBudget, response: Conclusion, path: Path) -> Generator[Any, Any, Conclusion | Bogus]:
        """The response with the security of its parts, and their TTLs within what their signatures allow; or why it is bogus.

        Raises Exhausted where what it takes cannot be fetched within the budget.
        """
        try:
            return (yield from self._validate(budget, response, path))
        except TooMuch as error:
            return Bogus(codes.EDE_BOGUS, str(error))

    def check_root(self, budget: QueryBudget) -> Generator[Any, Any, object]:
        """Look at the root's keys, whether the clock is believed or not (`QueryBudget.checks_clock`)."""
        return (yield from self._chain.zone_of(budget, ROOT, ()))

    def learn_referral(self, referral: Referral, now: float, lease: float) -> None:
        """Remember what a parent says of a cut: its DS, or the proof that there is none. Nobody gets it unless it is verified."""
        cut = referral.ns.owner
        proofs = []
        for rrset in referral.authority:
            if rrset.rtype == codes.DS:
                self._rrsets.put(rrset, Trust.REFERRAL, now, cut, lease=lease)
                return
            proofs.append(rrset)
        if proofs:
            ttl = min(each.ttl for each in proofs)
            self._rrsets.put_negative(cut, codes.DS, ttl, tuple(proofs), Trust.REFERRAL, now)

    def synthesised(self, name: Name, rtype: int, now: float) -> Conclusion | None:
        """What is validated of other names and says what there is of this one (lower case) (RFC 8198)."""
        if self._trust.negative_anchor(name) is not None:
            return None
        found = self._aggressive.find(name, rtype, now, self._island(name) or ROOT)
        if found is None:
            return None
        if isinstance(found, SynthesisedDenial):
            return Negative(
                (), name, rtype, found.nxdomain, found.soa, found.proofs, trust=Trust.VALIDATED, security=Security.SECURE
            )
        if found.rrset.rtype == rtype:
            return Positive((found.rrset,), found.proofs, trust=Trust.VALIDATED)
        target = lower(rdata.target(codes.CNAME, found.rrset.rdatas[0]))
        return Cname((found.rrset,), target, found.proofs, trust=Trust.VALIDATED)

    def _validate(self, budget: QueryBudget, response: Conclusion, path: Path) -> Generator[Any, Any, Conclusion | Bogus]:
        proofs = response.authority if isinstance(response, (Positive, Cname)) else ()
        proven: list[RRset] = []
        chain: list[RRset] = []
        for rrset in response.chain:
            if rrset.rtype == codes.CNAME and not rrset.sigs and chain and chain[-1].rtype == codes.DNAME:
                # Made from the DNAME (RFC 6672 §5.3.1).
                chain.append(replace(rrset, ttl=min(rrset.ttl, chain[-1].ttl), security=chain[-1].security))
                continue
            judged = yield from self._rrset(budget, rrset, proofs, path)
            if isinstance(judged, Bogus):
                return judged
            rrset, used = judged
            chain.append(rrset)
            proven += used
        if isinstance(response, Negative):
            return (yield from self._negative(budget, replace(response, chain=tuple(chain)), path))
        if isinstance(response, (Positive, Cname)):
            return replace(response, chain=tuple(chain), authority=each_once(proven))
        return replace(response, chain=tuple(chain))

    def _rrset(
        self, budget: QueryBudget, rrset: RRset, proofs: tuple[RRset, ...], path: Path
    ) -> Generator[Any, Any, tuple[RRset, tuple[RRset, ...]] | Bogus]:
        """An RRset with its security, and those of the proofs beside it that it needs."""
        if rrset.security is not Security.UNKNOWN:
            return rrset, proofs
        if rrset.rtype == codes.RRSIG:
            return replace(rrset, security=Security.INSECURE), ()  # nothing signs signatures (RFC 4035 §2.2)
        signer = next(iter(signers(rrset)), None)
        name = parent(rrset.owner) if rrset.rtype == codes.DS else rrset.owner
        offered = rrset if rrset.rtype == codes.DNSKEY else None
        zone = yield from self._chain.zone_of(budget, name, path, signer, offered)
        if isinstance(zone, InsecureZone):
            return replace(rrset, security=Security.INSECURE), proofs
        if isinstance(zone, BogusZone):
            return Bogus(zone.code, zone.text)
        what = f"{to_text(rrset.owner)} {codes.type_text(rrset.rtype)}"
        if signer is None or zone.zone != signer:
            return Bogus(codes.EDE_RRSIGS_MISSING, f"{what} is not signed by {to_text(zone.zone)}")
        verified = self._chain.verified(budget, rrset, zone)
        if isinstance(verified, Bogus):
            return verified
        if verified.wildcard is None:
            return replace(rrset, ttl=verified.ttl, security=Security.SECURE), ()
        proofs, fault = self._chain.verified_proofs(budget, proofs, zone)
        proof, why = denial.wildcard(proofs, zone.zone, rrset.owner, verified.wildcard, budget.work)
        if proof is Proof.MISSING:
            return fault or Bogus(codes.EDE_NSEC_MISSING, f"{what} is from a wildcard, but {why}")
        security = Security.SECURE if proof is Proof.PROVEN else Security.INSECURE
        rrset = replace(rrset, ttl=min(verified.ttl, *(each.ttl for each in proofs)), security=security)
        if security is Security.SECURE:
            self._aggressive.learn_wildcard(zone.zone, verified.wildcard, rrset, budget.now)
            self._aggressive.learn(zone.zone, proofs, None, budget.now)
        return rrset, proofs

    def _negative(self, budget: QueryBudget, response: Negative, path: Path) -> Generator[Any, Any, Conclusion | Bogus]:
        """A denial with its security (RFC 4035 §5.4)."""
        # Where nobody has signed a proof, it may be below a cut that the zone's servers, being the child's as well, pass over.
        signer = next((signer for proof in response.proofs for signer in signers(proof)), None)
        # A DS is its parent's to deny (RFC 4035 §3.1.4.1), of the root nobody's.
        name = parent(response.name) if response.qtype == codes.DS and response.name[0] else response.name
        zone = yield from self._chain.zone_of(budget, name, path, signer)
        if isinstance(zone, InsecureZone):
            return replace(response, security=Security.INSECURE)
        if isinstance(zone, BogusZone):
            return Bogus(zone.code, zone.text)
        denied = self._denied(budget, response, zone)
        if isinstance(denied, Bogus):
            # Servers of a parent that are an unsigned child's as well deny for the child what they prove as the parent.
            proofs, _ = self._chain.verified_proofs(budget, response.proofs, zone)
            if denial.no_ds(proofs, zone.zone, response.name, budget.work).result is denial.NoDs.INSECURE_DELEGATION:
                return replace(response, security=Security.INSECURE)
        return denied

    def _denied(self, budget: QueryBudget, response: Negative, zone: SecureZone) -> Negative | Bogus:
        what = f"{to_text(response.name)} {codes.type_text(response.qtype)}"
        proofs, fault = self._chain.verified_proofs(budget, response.proofs, zone)
        nxdomain = response.nxdomain
        if nxdomain:
            proof, why = denial.nxdomain(proofs, zone.zone, response.name, budget.work)
        if not nxdomain or proof is Proof.MISSING:
            # Servers that say NXDOMAIN of an empty non-terminal prove all the same that there is one.
            nodata, why_not = denial.nodata(proofs, zone.zone, response.name, response.qtype, budget.work)
            if not nxdomain or nodata is Proof.PROVEN:
                nxdomain, proof, why = False, nodata, why_not
        if proof is Proof.MISSING:
            return fault or Bogus(codes.EDE_NSEC_MISSING, f"{what} is denied without proof: {why}")
        soa, ttl = response.soa, min((each.ttl for each in proofs), default=bounds.NO_SOA_TTL)
        if soa is not None:
            verified = self._chain.verified(budget, soa, zone)
            if isinstance(verified, Bogus):
                return verified
            # RFC 9077: nor does a denial outlive its proof.
            soa = replace(soa, ttl=min(verified.ttl, ttl), security=Security.SECURE)
        security = Security.SECURE if proof is Proof.PROVEN else Security.INSECURE
        if security is Security.SECURE:
            self._aggressive.learn(zone.zone, proofs, soa, budget.now)
        return replace(response, nxdomain=nxdomain, soa=soa, proofs=proofs, security=security)


class Validators:
    """Makes a validator for each set of caches, all of the same trust."""

    def __init__(self, trust: TrustState):
        self._trust = trust

    def validation(self, caches: Caches, fetch: Fetch, island: Callable[[Name], Name | None]) -> Validator:
        """One over these caches; `island` as `Chain` has it."""
        return Validator(self._trust, caches, fetch, island)

    def anew(self) -> "Validators":
        """The same trust, with nothing learnt of any zone."""
        return Validators(self._trust.anew())
