"""What a proof of nonexistence comes to, and what the types at one name say; the same for NSEC and NSEC3."""

from enum import Enum
from typing import NamedTuple, Protocol

from resolverd.wire import codes
from resolverd.wire.dnssec import TypeBitmap, has_type
from resolverd.wire.names import ROOT, Name


class Proof(Enum):
    """What the records say of a denial."""

    PROVEN = "proven"
    INSECURE = "insecure"
    """Neither proven nor refuted, by the zone's own will: Opt-Out, or parameters that are not evaluated (RFC 9276 §3.2)."""
    MISSING = "missing"


class NoDs(Enum):
    """What the records say of a name that has no DS: whether a zone begins there, and that it is not signed."""

    INSECURE_DELEGATION = "insecure delegation"
    """A delegation without DS, or one that Opt-Out may hide."""
    NO_CUT = "no cut"
    """No zone begins there: the name has no NS, or does not exist."""
    BEYOND = "beyond"
    """NSEC3 parameters that are not evaluated (RFC 9276 §3.2): all below is insecure."""
    MISSING = "missing"


class Denial(NamedTuple):
    """`why` in words for an Extended DNS Error; empty where it is proven."""

    proof: Proof
    why: str = ""


class DsDenial(NamedTuple):
    """`why` in words for an Extended DNS Error; empty where DS's absence is proven by name."""

    result: NoDs
    why: str = ""


class HashBudget(Protocol):
    """What one client question may cost, as far as denials know it."""

    def charge_hashes(self, count: int) -> None:
        """Raises its own exception when that is more than the question may cost."""


def is_cut(types: TypeBitmap) -> bool:
    """Whether they are those of a delegation, as its parent sees it."""
    return has_type(types, codes.NS) and not has_type(types, codes.SOA)


def hides_below(types: TypeBitmap) -> bool:
    """Whether the names below are not the zone's to deny: below a delegation or a DNAME (RFC 6840 §4.1)."""
    return is_cut(types) or has_type(types, codes.DNAME)


def contradiction(types: TypeBitmap, name: Name, rtype: int) -> str:
    """Why the types at `name` don't say that it has no `rtype`; empty if they do."""
    if has_type(types, rtype) or (rtype == codes.ANY and types != b""):
        return f"which has {codes.type_text(rtype)}"
    if has_type(types, codes.CNAME):
        # RFC 6840 §4.3: the answer would have been the alias.
        return "which has a CNAME"
    if rtype == codes.DS:
        # RFC 4035 §5.2: DS belongs to the parent, of whose side the child's apex says nothing; the root has no parent.
        return "which is a zone's own apex" if has_type(types, codes.SOA) and name != ROOT else ""
    # RFC 6840 §4.1: all else at a cut is the child's.
    return "which is a delegation" if is_cut(types) else ""


def ds_absence(types: TypeBitmap, cut: Name) -> DsDenial | None:
    """What the types at `cut` say of its DS; None if nothing."""
    if has_type(types, codes.DS) or (has_type(types, codes.SOA) and cut != ROOT):
        return None
    return DsDenial(NoDs.INSECURE_DELEGATION if is_cut(types) else NoDs.NO_CUT)
