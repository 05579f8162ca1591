"""What a configuration changes over many attempts, counted while they go by, the youngest first, in constant memory."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import NamedTuple, TypeAlias

from resolverd import bounds
from resolverd.mail.findings import Action
from resolverd.mail.lookups import Clear, Listed, ListLookup, LookupReply, Question
from resolverd.ops.replay.judge import Configuration, Judged, Kept, Said, judge, passed_greylisting, said_then
from resolverd.ops.replay.replies import replies_of
from resolverd.wire.names import Address


class Change(NamedTuple):
    """An attempt to which something else would be said. `at` in wall seconds. `candidate`: a refusal that would have been a
    mistake, for all that is known."""

    id: str
    at: float
    client: Address | None
    helo_name: str
    sender: str | None
    recipient: str
    old: Said
    new: Said
    candidate: bool


@dataclass(slots=True)
class Totals:
    """What becomes of all attempts under one configuration. `unknown`: of how many it cannot be said; they are not among
    the `refusals`, which are refused or put off for certain. `candidates`: refusals of those who were let in, or are on an allow
    list: false positives, perhaps. `questions` to lists: at the most, as what a list has said for one attempt serves the next."""

    refusals: int = 0
    candidates: int = 0
    unknown: int = 0
    questions: int = 0


@dataclass(slots=True)
class ListTotals:
    """What one list has done. `listed`: attempts of somebody it lists; `unique`: nobody else lists those; `decisive`: without it
    something else would be said; `candidates`: of those, false positives, perhaps. `asked`: questions that were answered;
    `cached`: by what it had said before."""

    listed: int = 0
    unique: int = 0
    decisive: int = 0
    candidates: int = 0
    asked: int = 0
    cached: int = 0


class Variant(NamedTuple):
    """The configuration with one list more or less. `what`: ``add`` or ``drop``."""

    what: str
    list_id: str
    configuration: Configuration


@dataclass(slots=True)
class Summary:
    """The outcome. `since` and `until`: of the first and the last attempt, in wall seconds. `changes` are the youngest of those
    that are counted in `changed`. `transitions`: how many went from what to what. `missing`: what was not known, of how many."""

    attempts: int = 0
    same: int = 0
    changed: int = 0
    unknown: int = 0
    since: float | None = None
    until: float | None = None
    changes: list[Change] = field(default_factory=list)
    transitions: Counter[tuple[str, str]] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    then: Totals = field(default_factory=Totals)
    now: Totals = field(default_factory=Totals)
    lists: dict[str, ListTotals] = field(default_factory=dict)
    variants: list[tuple[Variant, Totals, Totals]] = field(default_factory=list)
    """Each with what comes of everything without that change, and with it."""


Ask: TypeAlias = Callable[[Sequence[ListLookup], Configuration], Mapping[Question, LookupReply]]
_Doubtful: TypeAlias = OrderedDict[int, list[tuple[list[Totals | ListTotals], int | None]]]
"""By who wrote to whom: the totals that count the refusal, and which of the changes it is."""


class Comparison:
    """Takes attempts, the youngest first (or the oldest, if so said), and compares what was said with what `new` says.

    `ask`, given what a verdict needs of lists that is not known, gives what can be had of it. `base` is `new` without
    `variants`; each of them is compared with it by itself.
    """

    def __init__(
        self,
        base: Configuration,
        new: Configuration,
        variants: Sequence[Variant],
        now: int,
        *,
        oldest_first: bool = False,
        ask: Ask | None = None,
    ) -> None:
        self._base = base
        self._new = new
        self._now = now
        self._ask = ask
        self._base_totals = Totals()
        self._variants = [(each, Totals()) for each in variants]
        self._let_in = _Remembered(bounds.REPLAY_REMEMBERED)
        self._known = _Remembered(bounds.REPLAY_REMEMBERED)
        self._doubtful: _Doubtful | None = OrderedDict() if oldest_first else None
        self.summary = Summary(lists={spec.id: ListTotals() for spec in (*base.lists.values(), *new.lists.values())})
        self.summary.variants = [(each, self._base_totals, totals) for each, totals in self._variants]

    def add(self, kept: Kept) -> None:
        """One more attempt, older than those before."""
        if is_none(kept):
            return
        summary, verdict = self.summary, kept.verdict
        summary.attempts += 1
        summary.since = kept.at if summary.since is None else min(summary.since, kept.at)
        summary.until = kept.at if summary.until is None else max(summary.until, kept.at)
        old, new = said_then(verdict), self._judge(kept, self._new)
        good = new.allow_listed or self._is_good(kept)
        both = (summary.then, Judged(old)), (summary.now, new)
        refusing: list[Totals | ListTotals] = [each for each, judged in both if _count(each, judged, good)]
        base = new
        if self._variants:
            base = self._judge(kept, self._base)
            judged = [(self._base_totals, base)]
            for (_, _, configuration), totals in self._variants:
                judged.append((totals, new if configuration is self._new else self._judge(kept, configuration)))
            refusing += [totals for totals, each in judged if _count(totals, each, good)]
        change = self._compare(kept, old, new, good=good)
        refusing += self._count_lists(kept, base, new, good=good)
        if refusing and not good and self._doubtful is not None:
            self._doubtful.setdefault(hash(_who(kept)), []).append((refusing, change))
            if len(self._doubtful) > bounds.REPLAY_REMEMBERED:
                self._doubtful.popitem(last=False)
        self._remember(kept, allow_listed=new.allow_listed)

    def _judge(self, kept: Kept, configuration: Configuration) -> Judged:
        judged = judge(kept, configuration, self._now)
        if judged.open_lists and self._ask is not None and (more := self._ask(judged.open_lists, configuration)):
            return judge(kept, configuration, self._now, more)
        return judged

    def _compare(self, kept: Kept, old: Said, new: Judged, *, good: bool) -> int | None:
        """Where among the changes it stands, if it does."""
        summary = self.summary
        if new.unknown:
            summary.unknown += 1
            for each in new.unknown:
                what = each if each in summary.missing or len(summary.missing) < bounds.REPLAY_UNKNOWN else "others"
                summary.missing[what] += 1
        elif old.action == new.said.action and old.code in (0, new.said.code):  # not every log has the code
            summary.same += 1
        else:
            summary.changed += 1
            summary.transitions[old.word, new.said.word] += 1
            if len(summary.changes) < bounds.REPLAY_TOLD:
                summary.changes.append(_change(kept, old, new.said, candidate=good and new.said.refuses))
                return len(summary.changes) - 1
        return None

    def _count_lists(self, kept: Kept, base: Judged, new: Judged, *, good: bool) -> list[ListTotals]:
        """Those on which a refusal rests. What a list has done, it has done beside the others of `base`; one that is not among
        those, beside all of `new`."""
        lists = self.summary.lists
        refusing: list[ListTotals] = []
        asked = {spec.id for spec in self._base.lists.values()}
        found = [(base, each) for each in base.listings] + [(new, each) for each in new.listings if each.list_id not in asked]
        for judged, listing in found:
            totals = lists[listing.list_id]
            totals.listed += 1
            totals.unique += listing.unique
            totals.decisive += listing.decisive
            if listing.decisive and judged.said.refuses and not judged.unknown:
                refusing.append(totals)
                totals.candidates += good
        shown = {**self._base.lists, **self._new.lists}
        for question, reply in replies_of(kept.verdict.findings, shown).items():
            if isinstance(question, ListLookup) and isinstance(reply, Listed | Clear):
                lists[question.list_id].asked += 1
                lists[question.list_id].cached += reply.age > 0
        return refusing

    def _is_good(self, kept: Kept) -> bool:
        """Whether a refusal would have been a mistake, for all that is known: whoever it is was let in then or later."""
        verdict = kept.verdict
        return passed_greylisting(verdict.greylist) or self._let_in.has(_who(kept)) or self._known.has(verdict.client)

    def _remember(self, kept: Kept, *, allow_listed: bool) -> None:
        verdict = kept.verdict
        if verdict.action is not Action.ACCEPT or verdict.reason.startswith("observed only"):
            return
        if self._doubtful is not None:
            for refusing, change in self._doubtful.pop(hash(_who(kept)), ()):
                for totals in refusing:
                    totals.candidates += 1
                if change is not None:
                    changes = self.summary.changes
                    changes[change] = changes[change]._replace(candidate=changes[change].new.refuses)
            return
        if verdict.greylist is None or passed_greylisting(verdict.greylist):
            self._let_in.add(_who(kept))
        if verdict.client is not None and (allow_listed or passed_greylisting(verdict.greylist)):
            self._known.add(verdict.client)


class _Remembered:
    """Things that were seen, a bounded number of them; the ones longest there go first."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._seen: dict[int, None] = {}

    def add(self, thing: Hashable) -> None:
        key = hash(thing)
        self._seen.pop(key, None)
        self._seen[key] = None
        if len(self._seen) > self._bound:
            del self._seen[next(iter(self._seen))]

    def has(self, thing: Hashable) -> bool:
        return hash(thing) in self._seen


def is_none(kept: Kept) -> bool:
    """Whether nothing was to be decided: at other states than RCPT, or for who had logged in."""
    if kept.attempt is None:
        return kept.verdict.reason.startswith("nothing to decide")
    return kept.attempt.protocol_state.upper() != "RCPT"


def _count(totals: Totals, judged: Judged, good: bool) -> bool:
    """Whether it is a refusal."""
    totals.questions += len(judged.questions)
    if judged.unknown:
        totals.unknown += 1
    elif judged.said.refuses:
        totals.refusals += 1
        totals.candidates += good
        return True
    return False


def _change(kept: Kept, old: Said, new: Said, *, candidate: bool) -> Change:
    attempt = kept.attempt
    helo, sender, recipient = ("", None, "") if attempt is None else (attempt.helo_name, attempt.sender, attempt.recipient)
    return Change(kept.verdict.id, kept.at, kept.verdict.client, helo, sender, recipient, old, new, candidate)


def _who(kept: Kept) -> Hashable:
    """From which network whom whose mail came, as in greylisting."""
    client, attempt = kept.verdict.client, kept.attempt
    network = None if client is None else ip_network((client, 24 if client.version == 4 else 64), strict=False)
    return network, *(("", "") if attempt is None else (attempt.sender, attempt.recipient))
