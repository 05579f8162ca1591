"""Names that are answered by what the lists say: the combined zone below its origin, and the lists' own zones (guard)."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from resolverd import bounds
from resolverd.clock import Clock
from resolverd.dnsbl.aggregate import Reputation, fold, is_decided
from resolverd.dnsbl.engine import Engine
from resolverd.dnsbl.names import unmapped
from resolverd.dnsbl.response import FAILURE_TTL
from resolverd.dnsbl.spec import HASH
from resolverd.mail.lookups import Clear, Listed, ListLookup, ListReply, Skipped
from resolverd.overrides.rules import ALLOW, DENY
from resolverd.values import replace
from resolverd.wire import codes
from resolverd.wire.answer import Answer, ExtendedError, servfail
from resolverd.wire.names import Address, Name, from_text, is_subdomain
from resolverd.zones import dnsbl_zone, list_answers
from resolverd.zones.client_zones import ClientZones
from resolverd.zones.dnsbl_zone import BL, CLIENT_SUBZONES, DBL, SCORE, STATUS, WL, NodeKind, ParsedName, ZoneAnswer
from resolverd.zones.guard import Guarded, GuardTable
from resolverd.zones.override_lookup import NO_OVERRIDE, OverrideLookup, OverrideResult

DEADLINE = 1.9
"""Seconds for an answer: smtpd asks one list after the other and libc repeats itself after 5 s."""

_MEMORY = 5.0
"""Seconds for which an evaluation stands: a TXT that follows its A comes from the same one."""

_PURPOSES = {BL: None, DBL: None, WL: "allow", SCORE: "block"}
"""Which lists each subzone needs; a quota is not spent on others."""

_DECIDED: Mapping[str, tuple[str, ...]] = {ALLOW: (BL, DBL), DENY: (WL,)}
"""The subzones whose answer an override alone makes."""

_NOT_LOCAL = ExtendedError(codes.EDE_PROHIBITED, "keyed lists are for clients of this machine")
_STARTING = servfail(codes.EDE_NOT_READY, "the overrides are being read")
"""Until then nobody is listed who may have been allowed, and nobody denied to be."""
_REFUSED = Answer(codes.REFUSED, errors=(_NOT_LOCAL,), keep=False)


class ZoneRules(NamedTuple):
    """`listed_at`: points at which `bl` and `dbl` list, None for any listing. `deadline`: seconds for the lists to answer."""

    listed_at: float | None = None
    deadline: float = DEADLINE


class _CachedReputation(NamedTuple):
    """A reputation, when it was made (monotonic seconds), and the lists' generation by then."""

    reputation: Reputation
    since: float
    generation: int


class ListZones:
    """The combined zone at `origin` (lower case) and, with a guard table, the lists' own zones.

    `overrides` says what is allowed and denied by hand, `clients` what is known of clients.
    """

    def __init__(
        self,
        origin: Name,
        engine: Engine,
        rules: ZoneRules,
        clock: Clock,
        *,
        guard: GuardTable | None = None,
        overrides: OverrideLookup | None = None,
        clients: ClientZones | None = None,
        ready: Callable[[float], Awaitable[bool]] | None = None,
    ):
        """`ready`: whether the overrides are loaded, or are so within some seconds."""
        self._origin = origin
        self._ready = ready
        self._engine = engine
        self._listed_at = rules.listed_at
        self._patience = min(rules.deadline, DEADLINE)
        self._clock = clock
        self._guard = guard
        self._overrides = overrides
        self._clients = clients
        self._reputations: OrderedDict[tuple[Address | str, str | None], _CachedReputation] = OrderedDict()

    def owns(self, name: Name) -> bool:
        """Whether the name (lower case) is answered here: at or below the origin, or a question to a guarded list."""
        return is_subdomain(name, self._origin) or (self._guard is not None and self._guard.find(name) is not None)

    def touches(self, zone: Name) -> bool:
        """Whether any name at or below a zone (lower case) is answered here, or answers about it `filtered`."""
        around = is_subdomain(zone, self._origin) or is_subdomain(self._origin, zone)
        return around or (self._guard is not None and self._guard.touches(zone))

    def known(self, name: Name, rtype: int) -> Answer | None:
        """What `answer` says of a name that is answered here, where it needs no waiting."""
        if is_subdomain(name, self._origin):
            parsed = dnsbl_zone.parse_name(self._origin, name)
            answer = self._of_no_subject(parsed, name, rtype)
            if answer is None and (said := self._remembered(parsed)) is not None:
                answer = list_answers.of_subject(self._origin, parsed, name, rtype, said)
            return answer
        found = self._guard.find(name) if self._guard is not None else None
        answer = None if found is None or found.keyed else self._guarded_known(found, name, rtype)
        return None if answer is None else replace(answer, aa=False)

    async def answer(self, name: Name, rtype: int, *, loopback: bool = False) -> Answer | None:
        """What is said at a name (lower case), within 2 s; None for one that is not answered here.

        `loopback`: the client is on this machine, and may ask lists with a key of its own.
        """
        if is_subdomain(name, self._origin):
            return await self._combined(name, rtype)
        found = self._guard.find(name) if self._guard is not None else None
        if found is None:
            return None
        if found.keyed and not loopback:
            return _REFUSED
        return replace(await self._guarded(found, name, rtype), aa=False)

    def filtered(self, name: Name, rtype: int, answer: Answer) -> Answer:
        """An answer about a name (lower case) that is no question to a list, as it may be given (`GuardTable.answer_filter`)."""
        if rtype != codes.A or self._guard is None:
            return answer
        addresses = [address for rrset in answer.answer if rrset.rtype == codes.A for address in rrset.rdatas]
        hidden = self._guard.answer_filter(name) if addresses else None
        if hidden is None or all(map(hidden.passes, addresses)):
            return answer
        return replace(dnsbl_zone.negative(hidden.zone, FAILURE_TTL, nxdomain=False), aa=False)

    async def _combined(self, name: Name, rtype: int) -> Answer:
        parsed = dnsbl_zone.parse_name(self._origin, name)
        if (answer := self._of_no_subject(parsed, name, rtype)) is not None:
            return answer
        if self._ready is not None and not await self._ready(self._patience):
            return _STARTING
        return list_answers.of_subject(self._origin, parsed, name, rtype, await self._evaluate(parsed))

    def _of_no_subject(self, parsed: ParsedName, name: Name, rtype: int) -> Answer | None:
        """What is said of a name, or for a type, where no list has a say; None for all others."""
        if parsed.kind is NodeKind.APEX:
            return self._apex(rtype)
        if parsed.kind is NodeKind.NOWHERE:
            return dnsbl_zone.negative(self._origin, dnsbl_zone.DEFAULT_TTL, nxdomain=True)
        if parsed.kind is NodeKind.NODE or rtype not in (codes.A, codes.TXT):
            return dnsbl_zone.negative(self._origin, dnsbl_zone.DEFAULT_TTL, nxdomain=False)
        return self._status(name, rtype) if parsed.subzone == STATUS else None

    def _remembered(self, parsed: ParsedName) -> ZoneAnswer | None:
        """What `_evaluate` says within `_MEMORY` of an evaluation of the same subject; None where it has to say."""
        if parsed.subzone in CLIENT_SUBZONES:
            return None
        subject = parsed.subject if isinstance(parsed.subject, str) else unmapped(parsed.subject)
        # Nothing is remembered before the overrides are loaded, nor of test points.
        reputation = self._remembered_reputation(subject, parsed.subzone)
        if reputation is None:
            return None
        override = NO_OVERRIDE if self._overrides is None else self._overrides.immediate(subject)
        if override is None:
            return None
        return self._said(parsed.subzone, override, Reputation() if self._decides(override, parsed.subzone) else reputation)

    async def _evaluate(self, parsed: ParsedName) -> ZoneAnswer:
        """What the name's subzone says of its subject, and for how long."""
        test = dnsbl_zone.test_point(parsed.subzone, parsed.subject)
        if test is not None:
            return test
        subject = parsed.subject if isinstance(parsed.subject, str) else unmapped(parsed.subject)
        if parsed.subzone in CLIENT_SUBZONES and not isinstance(subject, str):
            if self._clients is None:
                return ZoneAnswer(ttl=dnsbl_zone.PARTIAL_TTL)
            return await self._clients.answer(parsed.subzone, subject, deadline=self._clock.monotonic() + self._patience)
        return self._said(parsed.subzone, *await self._override_and_reputation(subject, parsed.subzone))

    def _said(self, subzone: str, override: OverrideResult, reputation: Reputation) -> ZoneAnswer:
        answer = dnsbl_zone.answer(subzone, reputation, self._engine.known, self._listed_at, override.action)
        ttl = min(dnsbl_zone.ttl_of(reputation, override.action), override.ttl or dnsbl_zone.MAX_TTL)
        return answer._replace(ttl=ttl)

    async def _override_and_reputation(self, subject: Address | str, subzone: str) -> tuple[OverrideResult, Reputation]:
        deadline = self._clock.monotonic() + self._patience
        override = NO_OVERRIDE if self._overrides is None else self._overrides.immediate(subject)
        if override is not None:
            return override, await self._reputation_beside(override, subject, subzone, deadline)
        looking = asyncio.ensure_future(self._override(subject, deadline))
        try:
            # Where an override decides, no list's answer has to be paid for; but lists have half of the time in any case.
            await asyncio.wait({looking}, timeout=self._patience / 2)
            if looking.done():
                return looking.result(), await self._reputation_beside(looking.result(), subject, subzone, deadline)
            return await asyncio.gather(looking, self._reputation(subject, subzone, deadline))
        finally:
            looking.cancel()

    async def _reputation_beside(
        self, override: OverrideResult, subject: Address | str, subzone: str, deadline: float
    ) -> Reputation:
        if self._decides(override, subzone):
            return Reputation()
        return await self._reputation(subject, subzone, deadline)

    def _decides(self, override: OverrideResult, subzone: str) -> bool:
        return override.action is not None and (self._engine.frugal or subzone in _DECIDED[override.action])

    async def _override(self, subject: Address | str, deadline: float) -> OverrideResult:
        """The override by `deadline` (monotonic seconds); the client's names are looked up if need be."""
        if self._overrides is None:
            return NO_OVERRIDE
        override = self._overrides.immediate(subject)
        if override is not None or isinstance(subject, str):
            return override or NO_OVERRIDE
        return await self._overrides.lookup(subject, deadline=deadline)

    async def _reputation(self, subject: Address | str, subzone: str, deadline: float) -> Reputation:
        if (known := self._remembered_reputation(subject, subzone)) is not None:
            return known
        purpose, generation = _PURPOSES[subzone], self._engine.generation
        enough = self._is_decided if subzone in (BL, DBL) else None
        replies = await self._engine.ask_all(subject, deadline=deadline, purpose=purpose, enough=enough)
        replies |= await self._reverified(subject, replies, deadline)
        reputation = fold(self._engine.known, replies)
        if not isinstance(subject, str) and reputation.allowed:
            self._engine.add_known_good(subject, [name for name, reply in replies.items() if isinstance(reply, Clear)])
        self._reputations[subject, purpose] = _CachedReputation(reputation, self._clock.monotonic(), generation)
        self._reputations.move_to_end((subject, purpose))
        if len(self._reputations) > bounds.LIST_REPUTATIONS:
            self._reputations.popitem(last=False)
        return reputation

    def _remembered_reputation(self, subject: Address | str, subzone: str) -> Reputation | None:
        known = self._reputations.get((subject, _PURPOSES[subzone]))
        if known is None or self._clock.monotonic() - known.since >= _MEMORY or known.generation != self._engine.generation:
            return None
        return known.reputation

    def _is_decided(self, replies: Mapping[str, ListReply], open_: Sequence[str]) -> bool:
        return is_decided(self._engine.known, replies, open_, self._listed_at)

    async def _reverified(
        self, subject: Address | str, replies: Mapping[str, ListReply | Skipped], deadline: float
    ) -> dict[str, ListReply]:
        """The replies of block lists that no longer list the subject when they are re-verified."""
        specs = self._engine.known
        listed = [name for name, reply in replies.items() if isinstance(reply, Listed) and not specs[name].allows]
        lookups = [ListLookup(name, subject) for name in listed]
        changed = await self._engine.reverify(lookups, deadline=deadline) if lookups else {}
        return {lookup.list_id: reply for lookup, reply in changed.items()}

    def _apex(self, rtype: int) -> Answer:
        if rtype == codes.SOA:
            soa = dnsbl_zone.soa(self._origin, dnsbl_zone.MAX_TTL)
            return dnsbl_zone.positive(self._origin, codes.SOA, soa.rdatas, soa.ttl)
        if rtype == codes.NS:
            return dnsbl_zone.positive(self._origin, codes.NS, (from_text("localhost"),), dnsbl_zone.MAX_TTL)
        return dnsbl_zone.negative(self._origin, dnsbl_zone.DEFAULT_TTL, nxdomain=False)

    def _status(self, name: Name, rtype: int) -> Answer:
        texts = dnsbl_zone.status_texts(self._engine.statuses())
        if rtype != codes.TXT or not texts:
            return dnsbl_zone.negative(self._origin, dnsbl_zone.STATUS_TTL, nxdomain=False)
        return dnsbl_zone.positive(name, rtype, [list_answers.txt(text) for text in texts], dnsbl_zone.STATUS_TTL)

    def _guarded_known(self, found: Guarded, name: Name, rtype: int) -> Answer | None:
        if (answer := list_answers.never_asked(found, rtype)) is not None:
            return answer
        spec = found.spec
        if spec is None or rtype != codes.A or found.canary is not None:
            return None
        response = self._engine.standing_for(spec, found.subject)
        if response is None:
            return None
        if HASH not in spec.kinds:
            subject = found.subject if isinstance(found.subject, str) else unmapped(found.subject)
            override = NO_OVERRIDE if self._overrides is None else self._overrides.immediate(subject)
            if override is None:
                return None
            if (answer := list_answers.overridden(found.zone, spec, override, name, rtype)) is not None:
                return answer
        return list_answers.of_list(found, spec, name, rtype, response)

    async def _guarded(self, found: Guarded, name: Name, rtype: int) -> Answer:
        """A list's own answer."""
        if (answer := list_answers.never_asked(found, rtype)) is not None:
            return answer
        spec = found.spec
        assert spec is not None
        if found.canary is None and HASH not in spec.kinds:
            subject = found.subject if isinstance(found.subject, str) else unmapped(found.subject)
            override = await self._override(subject, self._clock.monotonic() + self._patience)
            if (answer := list_answers.overridden(found.zone, spec, override, name, rtype)) is not None:
                return answer
        ask = self._engine.ask_for if rtype == codes.A else self._engine.txt_for
        deadline = self._clock.monotonic() + self._patience
        response = await ask(spec, found.subject, found.canary, deadline=deadline)
        if isinstance(response.reply, Listed) and found.canary is None and not spec.allows:
            response = await self._engine.reverify_for(spec, found.subject, deadline=deadline) or response
        return list_answers.of_list(found, spec, name, rtype, response)
