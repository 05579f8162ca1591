"""The value between those who know (caches, local zones, iteration, the DNSBL zone) and `render`."""


from resolverd.values import Value
from resolverd.wire import codes
from resolverd.wire.rrset import RRset, Security


class ExtendedError(Value, frozen=True):
    """An Extended DNS Error: info code and text (RFC 8914). The text never carries a secret or a keyed name."""

    code: int
    text: str = ""


class Answer(Value, frozen=True):
    """The answer to a question, before it takes any client's form (ID, DO, size, age of the TTLs).

    `answer` holds the CNAME/DNAME chain in order and then the RRset asked for; `authority` the SOA of a negative answer,
    or a proof; RRSIGs travel inside the RRsets and are shown to DO clients only. `keep`: whether the packet cache may
    hold it; answers that change with health, quota or overrides must not be held there. `age`: seconds that its data has
    lain in a cache, 0 for what was just fetched, None where nobody counts. `expiring`: little of its life is left.
    `definite`: an authority has said it, or who was configured to answer for one, and it has not expired: only then may it
    speak against anybody's mail. `recursion_available`: although it is a refusal, whoever sets RD gets recursion.
    """

    rcode: int
    answer: tuple[RRset, ...] = ()
    authority: tuple[RRset, ...] = ()
    additional: tuple[RRset, ...] = ()
    aa: bool = False
    security: Security = Security.UNKNOWN
    errors: tuple[ExtendedError, ...] = ()
    keep: bool = True
    age: int | None = None
    expiring: bool = False
    definite: bool = True
    recursion_available: bool = False

    @property
    def is_failure(self) -> bool:
        """Neither data nor a denial: SERVFAIL, REFUSED and the like."""
        return self.rcode not in (codes.NOERROR, codes.NXDOMAIN, codes.YXDOMAIN)

    def final(self, rtype: int) -> RRset | None:
        """The RRset of the asked type at the end of the CNAME chain, or None for a negative answer."""
        for rrset in reversed(self.answer):
            if rrset.rtype == rtype:
                return rrset
        return None


def servfail(code: int, text: str = "") -> Answer:
    """SERVFAIL with its reason as Extended DNS Error; never kept beside real answers."""
    return Answer(codes.SERVFAIL, errors=(ExtendedError(code, text),), keep=False)
