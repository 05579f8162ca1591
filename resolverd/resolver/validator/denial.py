"""What NSEC and NSEC3 RRsets prove: that a name, a type, a closer name or a DS does not exist.

All RRsets are given as verified: signed by the zone's own keys and not expanded from a wildcard; others than NSEC and NSEC3 are
passed over. Names are in lower case. Every function raises only what ``work.charge_hashes`` raises: NSEC3 hashes are the
zone's to make expensive (CVE-2023-50868).

RFC 4035 §5.4, RFC 5155 §8, RFC 6840 §4, RFC 9276 §3.2.
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from resolverd.resolver.validator.nsec import NsecProofs, nsec_record
from resolverd.resolver.validator.nsec3 import Nsec3Proofs, nsec3_chains
from resolverd.resolver.validator.proof import Denial, DsDenial, HashBudget, NoDs, Proof
from resolverd.wire import codes
from resolverd.wire.names import Name, is_subdomain, to_text
from resolverd.wire.rrset import RRset

_Source: TypeAlias = NsecProofs | Nsec3Proofs

__all__ = ["Denial", "DsDenial", "NoDs", "Proof", "no_ds", "nodata", "nxdomain", "wildcard"]


def nodata(proofs: Iterable[RRset], zone: Name, name: Name, rtype: int, work: HashBudget) -> Denial:
    """That `name` has no `rtype`: it exists without, or a wildcard without answers for it.

    Sources: RFC 4035 §3.1.3.1, §3.1.3.4; RFC 5155 §8.5 to §8.7; RFC 6840 §4.
    """
    return _denial(proofs, zone, name, work, lambda each: each.nodata(name, rtype))


def nxdomain(proofs: Iterable[RRset], zone: Name, name: Name, work: HashBudget) -> Denial:
    """That there is no `name`, nor a wildcard that would answer for it (RFC 4035 §3.1.3.2, RFC 5155 §8.4)."""
    return _denial(proofs, zone, name, work, lambda each: each.nxdomain(name))


def wildcard(proofs: Iterable[RRset], zone: Name, name: Name, encloser: Name, work: HashBudget) -> Denial:
    """That the wildcard below `encloser` may answer for `name`: nothing closer exists (RFC 4035 §5.3.4, RFC 5155 §8.8)."""
    if name == encloser or not is_subdomain(name, encloser) or not is_subdomain(encloser, zone):
        return Denial(Proof.MISSING, f"no wildcard below {to_text(encloser)} answers for {to_text(name)}")
    return _denial(proofs, zone, name, work, lambda each: each.wildcard(name, encloser))


def no_ds(proofs: Iterable[RRset], zone: Name, cut: Name, work: HashBudget) -> DsDenial:
    """What the parent `zone` says of `cut`, which has no DS: an insecure delegation, or none (RFC 4035 §5.2, RFC 5155 §8.6)."""
    if cut == zone or not is_subdomain(cut, zone):
        return DsDenial(NoDs.MISSING, f"{to_text(zone)} is no parent of {to_text(cut)}")
    sources, beyond = _sources(proofs, zone, work)
    if not sources and beyond:
        return DsDenial(NoDs.BEYOND, beyond)
    best = DsDenial(NoDs.MISSING, f"no NSEC or NSEC3 of {to_text(zone)}")
    for each in sources:
        best = each.no_ds(cut)
        if best.result is not NoDs.MISSING:
            break
    return best


def _denial(proofs: Iterable[RRset], zone: Name, name: Name, work: HashBudget, evaluate: Callable[[_Source], Denial]) -> Denial:
    """The best that NSEC, or NSEC3 of any parameters, says."""
    if not is_subdomain(name, zone):
        return Denial(Proof.MISSING, f"{to_text(name)} is not in {to_text(zone)}")
    sources, beyond = _sources(proofs, zone, work)
    if not sources and beyond:
        return Denial(Proof.INSECURE, beyond)
    best = Denial(Proof.MISSING, f"no NSEC or NSEC3 of {to_text(zone)}")
    for each in sources:
        found = evaluate(each)
        if found.proof is Proof.PROVEN:
            return found
        if best.proof is Proof.MISSING:
            best = found
    return best


def _sources(proofs: Iterable[RRset], zone: Name, work: HashBudget) -> tuple[list[_Source], str]:
    """Whatever is evaluated apart, and why other NSEC3 records are not evaluated at all."""
    proofs = tuple(proofs)
    records = (nsec_record(rrset, zone) for rrset in proofs if rrset.rtype == codes.NSEC)
    nsec = NsecProofs(each for each in records if each is not None)
    chains, beyond = nsec3_chains(proofs, zone, work)
    return [*([nsec] if nsec else ()), *chains], beyond
