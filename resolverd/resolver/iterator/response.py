"""What a server's message is, seen by the one who asked it as a server of a zone. Memory answers in the same words."""

from typing import TypeAlias

from resolverd import bounds
from resolverd.resolver.cache.entries import Hit
from resolverd.resolver.iterator import scrub
from resolverd.values import Value, replace
from resolverd.wire import codes, rdata
from resolverd.wire.dnssec import expanded_from, rrsig
from resolverd.wire.message import Message
from resolverd.wire.names import ROOT, Name, is_subdomain, to_text
from resolverd.wire.rrset import RRset, Security, Trust


class _Said(Value, frozen=True, kw_only=True):
    """What answers a question, and who has said it.

    `hit` is what was found in memory, None for what a server said just now. `trust` is None for somebody who could not know, so
    that it is not remembered.
    """

    hit: Hit | None = None
    trust: Trust | None = Trust.AUTHORITATIVE

    @property
    def definite(self) -> bool:
        """Whether it may speak against anybody's mail: an authority has said it, or who was configured to answer for one."""
        return self.trust is not None and self.trust >= Trust.ANSWER


class Positive(_Said, frozen=True):
    """The chain from the question to its data, which stands last; `authority` proves a wildcard, if one was used."""

    chain: tuple[RRset, ...]
    authority: tuple[RRset, ...] = ()

    def describe(self) -> str:
        """In words."""
        rrset = self.chain[-1]
        return "answer: " + ", ".join(rdata.summary(rrset.rtype, each) for each in rrset.rdatas[:3])


class Cname(_Said, frozen=True):
    """A chain that leads to a name of which this message says nothing that counts; `authority` as in `Positive`."""

    chain: tuple[RRset, ...]
    target: Name
    authority: tuple[RRset, ...] = ()

    def describe(self) -> str:
        """In words."""
        return f"alias to {to_text(self.target)}"


class Negative(_Said, frozen=True):
    """There is no `qtype` at the chain's end `name`, or no such name; the SOA's TTL is the denial's (RFC 2308 §5).

    `security` is the denial's; the chain's RRsets have their own.
    """

    chain: tuple[RRset, ...]
    name: Name
    qtype: int
    nxdomain: bool
    soa: RRset | None
    proofs: tuple[RRset, ...]
    security: Security = Security.UNKNOWN

    @property
    def ttl(self) -> int:
        """Seconds for which the denial holds."""
        return self.soa.ttl if self.soa is not None else bounds.NO_SOA_TTL

    def describe(self) -> str:
        """In words."""
        return "no such name" if self.nxdomain else "no such record"


class Referral(Value, frozen=True):
    """A deeper zone: its NS RRset, with the DS RRset or its denial beside it."""

    ns: RRset
    authority: tuple[RRset, ...] = ()

    def describe(self) -> str:
        """In words."""
        return f"referral to {to_text(self.ns.owner)}"


class DnameTooLong(_Said, frozen=True):
    """A chain that ends in a DNAME whose target would be too long a name: YXDOMAIN (RFC 6672 §2.2)."""

    chain: tuple[RRset, ...]

    def describe(self) -> str:
        """In words."""
        return "DNAME target too long"


class Unusable(Value, frozen=True):
    """Nothing that helps: lame, refused, broken, or no message at all (`silent`).

    `last_resort` is what it says nevertheless, for want of anything better: the answer of somebody's cache, or an empty answer
    in which a server neither claims to be the zone's nor says who is. It is never definite.
    """

    text: str
    silent: bool = False
    last_resort: "Conclusion | None" = None

    def describe(self) -> str:
        """In words."""
        return f"unusable: {self.text}"


Conclusion: TypeAlias = Positive | Cname | Negative | DnameTooLong
"""What answers a question."""

Response: TypeAlias = Conclusion | Referral | Unusable


def classify(message: Message, qname: Name, qtype: int, zone: Name, forwarded: bool, *, of_a_list: bool = False) -> Response:
    """What the message says to the question `qname` (lower case) `qtype`, asked of a server of `zone`.

    Whoever denies a name and has data of it at once contradicts himself. The data counts, as it speaks for a client; in what
    is asked `of_a_list` it speaks against one, so there the denial does.
    """
    if of_a_list and message.rcode == codes.NXDOMAIN:
        message = replace(message, answer=())
    if message.rcode not in (codes.NOERROR, codes.NXDOMAIN, codes.YXDOMAIN):
        return Unusable(codes.rcode_text(message.rcode))
    try:
        response = _meaning(message, qname, qtype, zone, forwarded)
    except ValueError as error:
        return Unusable(f"impossible record: {error}")
    if message.flags & (codes.AA | codes.RA) == codes.RA and not forwarded and _claims(message):
        # Somebody's cache, not the zone's server: what it says may be from anybody.
        # A root server is nobody's cache, whatever else may be.
        said = response.last_resort if isinstance(response, Unusable) else response
        # But what can be verified by itself may be from anybody.
        takes = zone != ROOT or qtype in (codes.DS, codes.DNSKEY)
        last_resort = said if isinstance(said, Positive | Cname | Negative | DnameTooLong) and takes else None
        return Unusable("answer from a recursive server, not from the zone", last_resort=last_resort)
    return response


def _meaning(message: Message, qname: Name, qtype: int, zone: Name, forwarded: bool) -> Response:
    found, name = scrub.chain(message, qname, qtype, zone, whole=forwarded)
    chain = tuple(found)
    last = chain[-1] if chain else None
    has_data = last is not None and last.rtype == qtype and last.owner == name
    # RFC 6672 §2.2: it says that a DNAME makes too long a name, here or behind an alias, so that there is one, and no data.
    leads_on = bool(chain) and not has_data and any(each.rtype == codes.DNAME for each in message.answer)
    if message.rcode == codes.YXDOMAIN and not leads_on:
        return Unusable("YXDOMAIN without its DNAME")
    if has_data:
        return Positive(chain, _wildcard_proof(message, chain, zone))
    if last is not None and last.rtype == codes.DNAME:
        return DnameTooLong(chain)
    if chain and not (forwarded and is_subdomain(name, zone)):
        return Cname(chain, name, _wildcard_proof(message, chain, zone))
    soa, proofs = scrub.denial(message, name, zone)
    if message.rcode == codes.NXDOMAIN:
        return Negative(chain, name, qtype, True, soa, proofs)
    if soa is None and (ns := scrub.referral(message, name, zone)) is not None and not forwarded:
        return Referral(ns, _beside_cut(message, ns))
    if chain and soa is None:
        return Cname(chain, name, _wildcard_proof(message, chain, zone))
    if soa is None and any(rrset.rtype == codes.NS and not is_subdomain(rrset.owner, zone) for rrset in message.authority):
        # Upwards: this server does not know the zone, whatever its AA says.
        return Unusable("referral that leads nowhere")
    if soa is not None or message.aa or forwarded:
        return Negative(chain, name, qtype, False, soa, proofs)
    # Load balancers of the zone's own answer so for what they have not got (RFC 2308 §2.2.1 does not foresee it). So do servers
    # that do not know the zone; another may have more to say. Who names the servers of another zone is just confused.
    is_empty = zone != ROOT and all(each.owner == zone for each in message.authority if each.rtype == codes.NS)
    empty = Negative((), name, qtype, False, None, proofs)
    return Unusable("neither answer nor referral", last_resort=empty if is_empty else None)


def _claims(message: Message) -> bool:
    """Whether it says anything but "ask there"."""
    return bool(message.answer) or message.rcode != codes.NOERROR or any(each.rtype == codes.SOA for each in message.authority)


def _wildcard_proof(message: Message, chain: tuple[RRset, ...], zone: Name) -> tuple[RRset, ...]:
    # RFC 4035 §3.1.3.3: an answer from a wildcard comes with the proof that nothing closer exists; the signature
    # shows it by counting fewer labels than its owner has.
    for rrset in chain:
        if rrset.sigs and is_from_wildcard(rrset):
            return scrub.denial(message, rrset.owner, zone)[1]
    return ()


def is_from_wildcard(rrset: RRset) -> bool:
    """Whether its signature shows that a wildcard was used; one that cannot be read shows nothing."""
    return any(_shows_wildcard(rrset.owner, signature) for signature in rrset.sigs)


def _shows_wildcard(owner: Name, signature: bytes) -> bool:
    try:
        return expanded_from(owner, rrsig(signature).labels) is not None
    except ValueError:
        return False


def _beside_cut(message: Message, ns: RRset) -> tuple[RRset, ...]:
    dp = ns.owner
    return tuple(
        rrset
        for rrset in message.authority
        if (rrset.rtype == codes.DS and rrset.owner == dp) or rrset.rtype in (codes.NSEC, codes.NSEC3)
    )
