"""check_host (RFC 7208 §4): a domain's record applied to a client.

A generator: it yields what it wants to know, is sent the reply to the first, and returns the SpfOutcome. The other questions
it yields are those that it will come to unless the first settles the matter; asking them at the same time saves round
trips, and nothing else depends on it.
"""

from ipaddress import IPv6Address
from typing import Final, NamedTuple, NoReturn

from resolverd import bounds
from resolverd.failures import Unknown
from resolverd.mail.domains import is_suffix
from resolverd.mail.lookups import DnsLookup, DnsReply, Records
from resolverd.spf import clientnames, macros
from resolverd.spf.clientnames import SpfEvaluation, target_of
from resolverd.spf.macros import MacroString
from resolverd.spf.record import Directive, Mechanism, Record, Result, parse, spf_texts
from resolverd.wire import codes
from resolverd.wire.alabels import in_ascii
from resolverd.wire.names import ROOT, Address, Name, is_subdomain, label_count, reverse_name
from resolverd.wire.rdata import strings

_PERSONAL: Final = ("s", "l", "t")
"""Macros whose values differ from mail to mail of one client and one domain: the sender's address, its local part, the time."""


class SpfSubject(NamedTuple):
    """What is checked (§4.1), and what macros say besides: may `address` send as `sender`, for `domain`?

    `receiver` is our own host name, `now` wall seconds; both stand in explanations only.
    """

    address: Address
    domain: str
    sender: str
    helo: str
    receiver: str = "unknown"
    now: int = 0

    @property
    def local_part(self) -> str:
        """What stands in front of the last ``@``; ``postmaster`` where nothing does (§4.3)."""
        return self.sender.rpartition("@")[0] or "postmaster"

    @property
    def sender_domain(self) -> str:
        """What stands behind the last ``@``, as A-labels (RFC 8616 §4)."""
        return in_ascii(self.sender.rpartition("@")[2])


class SpfOutcome(NamedTuple):
    """A result and what led to it.

    `domain` is the one whose record said so, behind every redirect; `mechanism` the term that matched, as written, or
    ``default`` where none did. `problem` tells of an error. `explanation` is what the domain itself says of a fail, not
    yet fit for printing. `worthless`: a pass that anybody would have got. `never_sends`: the record is ``-all`` and nothing
    else, so the domain sends no mail at all. `macros`: of the macros ``s``, ``l`` and ``t``, which differ from mail to mail of
    one client and domain, those that were expanded on the way to it.
    """

    result: Result
    domain: str
    mechanism: str = ""
    problem: str = ""
    explanation: str = ""
    worthless: bool = False
    never_sends: bool = False
    macros: frozenset[str] = frozenset()


def check_host(subject: SpfSubject) -> SpfEvaluation[SpfOutcome]:
    """The outcome for a subject. Never raises for what others publish."""
    if isinstance(subject.address, IPv6Address) and subject.address.ipv4_mapped:
        subject = subject._replace(address=subject.address.ipv4_mapped)  # §5: it is an IPv4 client
    domain = in_ascii(subject.domain).removesuffix(".")
    if domain.startswith("["):
        return SpfOutcome(Result.NONE, domain, problem="an address literal has no record")
    check = _Check(subject)
    try:
        outcome = yield from check.check(domain, explain=True)
    except _Stop as stop:
        outcome = SpfOutcome(stop.result, stop.domain, problem=stop.problem)
    return outcome._replace(macros=frozenset(check.expanded)) if check.expanded else outcome


class _Stop(Exception):
    """The evaluation ends in an error, however deep in includes it has come."""

    def __init__(self, result: Result, domain: str, problem: str) -> None:
        super().__init__(problem)
        self.result = result
        self.domain = domain
        self.problem = problem


class _Check:
    """One evaluation, includes and redirects with it: they share the limits of §4.6.4."""

    def __init__(self, subject: SpfSubject) -> None:
        self._subject = subject
        self._address = subject.address
        self.expanded: set[str] = set()
        """As `SpfOutcome.macros`."""
        self._terms = 0
        self._voids = 0
        self._octets = 0
        self._values = {
            "s": f"{subject.local_part}@{subject.sender_domain}",
            "l": subject.local_part,
            "o": subject.sender_domain,
            "i": macros.dotted(subject.address),
            "h": subject.helo,
            "c": str(subject.address),
            "r": subject.receiver,
            "t": str(subject.now),
            "v": "in-addr" if subject.address.version == 4 else "ip6",
        }

    def check(self, domain: str, *, explain: bool, ahead: tuple[DnsLookup, ...] = ()) -> SpfEvaluation[SpfOutcome]:
        """§4.3 to §4.7 for one domain; with `explain`, its explanation of a fail is fetched."""
        name = macros.name_of(domain)
        if name is None or label_count(name) < 2:
            return SpfOutcome(Result.NONE, domain, problem="no domain that could have a record")
        record = self._select((yield (DnsLookup(name, codes.TXT), *ahead)), domain)
        if record is None:
            return SpfOutcome(Result.NONE, domain)
        for at, directive in enumerate(record.directives):
            asks = directive.looked_up(self._address) is not None
            match = yield from self._match(directive, domain, self._ahead(record, at, domain) if asks else ())
            if match is not None:
                return (yield from self._matched(directive, match, record, domain, explain))
        if record.redirect is None:
            return SpfOutcome(Result.NEUTRAL, domain, "default")
        return (yield from self._redirected(record.redirect, domain, explain))

    def _matched(
        self, directive: Directive, match: bool, record: Record, domain: str, explain: bool
    ) -> SpfEvaluation[SpfOutcome]:
        explanation = ""
        if directive.result is Result.FAIL and explain and record.explanation is not None:
            explanation = yield from self._explanation(record.explanation, domain)
        worthless = directive.result is Result.PASS and (match or record.lets_anybody(self._address.version))
        return SpfOutcome(
            directive.result,
            domain,
            directive.text,
            explanation=explanation,
            worthless=worthless,
            never_sends=record.never_sends,
        )

    def _redirected(self, redirect: MacroString, domain: str, explain: bool) -> SpfEvaluation[SpfOutcome]:
        """§6.1: the other domain's record in place of this one, its explanation too."""
        self._count_term(domain)
        other = yield from self._expanded(redirect, domain)
        if other is None:
            _permanent(domain, "redirect to no domain")
        outcome = yield from self.check(other, explain=explain)
        if outcome.result is Result.NONE:
            _permanent(domain, f"redirect to {other}, which has no record")
        return outcome

    # -- mechanisms: None where it does not match, else whether it matches everybody

    def _match(self, directive: Directive, domain: str, ahead: tuple[DnsLookup, ...]) -> SpfEvaluation[bool | None]:
        if directive.mechanism is Mechanism.ALL:
            return False
        if directive.network is not None:
            return False if directive.network.holds(self._address) else None
        self._count_term(domain)
        other = domain if directive.target is None else (yield from self._expanded(directive.target, domain))
        if other is None:
            return None
        if directive.mechanism is Mechanism.INCLUDE:
            return (yield from self._include(other, domain, ahead))
        name = macros.name_of(other)
        if name is None:
            return None  # §4.8 leaves it open; a name that nobody can have matches nobody
        wide = directive.follows_the_client
        if directive.mechanism is Mechanism.PTR:
            wide = is_suffix(other.lower())
            found = yield from self._ptr(name, domain)
        elif directive.mechanism is Mechanism.MX:
            found = yield from self._mx(name, directive, domain, ahead)
        else:
            lookup = DnsLookup(name, directive.looked_up(self._address) or codes.A)
            rdatas = yield from self._ask((lookup, *ahead), domain)
            self._count_void(bool(rdatas), domain)
            found = bool(rdatas) if directive.mechanism is Mechanism.EXISTS else self._among(rdatas, directive)
        return wide if found else None

    def _include(self, other: str, domain: str, ahead: tuple[DnsLookup, ...]) -> SpfEvaluation[bool | None]:
        """§5.2: the other domain is checked on its own; only its pass matches."""
        outcome = yield from self.check(other, explain=False, ahead=ahead)
        if outcome.result is Result.NONE:
            _permanent(domain, f"include of {other}, which has no record")
        return outcome.worthless if outcome.result is Result.PASS else None

    def _mx(self, name: Name, directive: Directive, domain: str, ahead: tuple[DnsLookup, ...]) -> SpfEvaluation[bool]:
        """§5.4: is the client one of the domain's mail servers? Never its address instead."""
        rdatas = yield from self._ask((DnsLookup(name, codes.MX), *ahead), domain)
        nearest = sorted(rdatas)[: bounds.MAX_SPF_NAMES]  # by preference, with which the data begins
        hosts = dict.fromkeys(target_of(codes.MX, rdata) for rdata in nearest)
        rtype = codes.A if self._address.version == 4 else codes.AAAA
        lookups = [DnsLookup(host, rtype) for host in hosts if host is not None and host != ROOT]
        answered = bool(rdatas) and not lookups
        for at in range(len(lookups)):
            addresses = yield from self._ask((*lookups[at:], *ahead), domain)
            answered = answered or bool(addresses)
            if self._among(addresses, directive):
                return True
        if len(rdatas) > bounds.MAX_SPF_NAMES:  # only now: a client among the nearest ones is one of them all the same
            _permanent(domain, f"more than {bounds.MAX_SPF_NAMES} mail servers")
        self._count_void(answered, domain)
        return False

    def _ptr(self, name: Name, domain: str) -> SpfEvaluation[bool]:
        """§5.5: is one of the client's names at or below this one, and does it lead back?"""
        hosts = yield from clientnames.reverse_names(self._address)
        self._count_void(hosts != (), domain)
        candidates = [host for host in hosts or () if is_subdomain(host, name)]
        return bool((yield from clientnames.validated(self._address, candidates, first=True)))

    def _among(self, rdatas: tuple[bytes, ...], directive: Directive) -> bool:
        """Whether the client's address is one of these, as far as the prefix goes."""
        own = self._address.packed
        drop = 8 * len(own) - directive.prefix(self._address.version)
        mine = int.from_bytes(own) >> drop
        return any(len(rdata) == len(own) and int.from_bytes(rdata) >> drop == mine for rdata in rdatas)

    # -- macros

    def _expanded(self, spec: MacroString, domain: str) -> SpfEvaluation[str | None]:
        """A domain-spec's domain; None if it can be none, as with a local part outside ASCII (RFC 8616 §4)."""
        if macros.uses(spec, "sl") and not self._subject.local_part.isascii():
            self.expanded.add("l")
            return None
        text = macros.fit((yield from self._expand(spec, domain)))
        return text if text.isascii() else None

    def _expand(self, string: MacroString, domain: str) -> SpfEvaluation[str]:
        self.expanded.update(letter for letter in _PERSONAL if macros.uses(string, letter))
        values = {**self._values, "d": domain}
        if macros.uses(string, "p"):
            values["p"] = yield from clientnames.best(self._address, domain)
        return macros.expand(string, values)

    def _explanation(self, spec: MacroString, domain: str) -> SpfEvaluation[str]:
        """§6.2: what the domain says of the fail; whatever is wrong with it, as if there were none."""
        other = yield from self._expanded(spec, domain)
        name = None if other is None else macros.name_of(other)
        if name is None:
            return ""
        reply = yield (DnsLookup(name, codes.TXT),)
        if not isinstance(reply, Records) or len(reply.rdatas) != 1:
            return ""
        try:
            text = b"".join(strings(reply.rdatas[0])).decode("ascii")
            if len(text) > bounds.MAX_SPF_EXPLANATION:
                return ""
            string = macros.read(text, spaces=True)
        except ValueError:
            return ""
        return (yield from self._expand(string, domain))

    # -- asking, within limits

    def _select(self, reply: DnsReply, domain: str) -> Record | None:
        """The domain's record (§4.4, §4.5); None if there is none."""
        if isinstance(reply, Unknown):
            _temporary(domain, reply)
        texts = spf_texts(reply.rdatas) if isinstance(reply, Records) else []
        if not texts:
            return None
        if len(texts) > 1:
            _permanent(domain, f"{len(texts)} records")
        self._octets += len(texts[0])
        if self._octets > bounds.MAX_SPF_TEXT and self._octets > len(texts[0]):
            _permanent(domain, f"more than {bounds.MAX_SPF_TEXT} octets of records")
        record = parse(texts[0])
        if not isinstance(record, Record):
            _permanent(domain, record.text)
        return record

    def _ask(self, lookups: tuple[DnsLookup, ...], domain: str) -> SpfEvaluation[tuple[bytes, ...]]:
        """The data for the first; none if it is denied. What cannot be known ends everything (§5)."""
        reply = yield lookups
        if isinstance(reply, Unknown):
            _temporary(domain, reply)
        return reply.rdatas if isinstance(reply, Records) else ()

    def _ahead(self, record: Record, at: int, domain: str) -> tuple[DnsLookup, ...]:
        """What the terms behind this one ask first, as far as it is certain to be allowed."""
        lookups: list[DnsLookup] = []
        left = max(0, bounds.MAX_SPF_TERMS - self._terms - 1)
        for directive in record.directives[at + 1 :]:
            settled = directive.network is not None and directive.network.holds(self._address)
            if settled or directive.mechanism is Mechanism.ALL:
                return tuple(lookups[:left])
            rtype = directive.looked_up(self._address)
            if rtype is not None and (lookup := self._first(directive.target, rtype, domain)) is not None:
                lookups.append(lookup)
        if record.redirect is not None and (lookup := self._first(record.redirect, codes.TXT, domain)) is not None:
            lookups.append(lookup)
        return tuple(lookups[:left])

    def _first(self, spec: MacroString | None, rtype: int, domain: str) -> DnsLookup | None:
        if rtype == codes.PTR:
            return DnsLookup(reverse_name(self._address), rtype)
        if spec is not None and macros.uses(spec, "psl"):
            return None
        name = macros.name_of(domain if spec is None else macros.fit(macros.expand(spec, {**self._values, "d": domain})))
        return None if name is None else DnsLookup(name, rtype)

    def _count_term(self, domain: str) -> None:
        self._terms += 1
        if self._terms > bounds.MAX_SPF_TERMS:
            _permanent(domain, f"more than {bounds.MAX_SPF_TERMS} terms that have to be looked up")

    def _count_void(self, answered: bool, domain: str) -> None:
        """A term counts once, however many of its look-ups find nothing (§4.6.4 limits terms)."""
        self._voids += not answered
        if self._voids > bounds.MAX_SPF_VOIDS:
            _permanent(domain, f"more than {bounds.MAX_SPF_VOIDS} terms whose names do not exist")


def _permanent(domain: str, problem: str) -> NoReturn:
    raise _Stop(Result.PERMERROR, domain, problem)


def _temporary(domain: str, reply: Unknown) -> NoReturn:
    raise _Stop(Result.TEMPERROR, domain, f"{reply.why}: {reply.detail}" if reply.detail else str(reply.why))
