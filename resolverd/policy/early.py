"""What is decided before every question is answered, and on what a decision rests: the fold asked about what may yet come.

The fold is monotonic: a listing by a block list never makes a verdict milder, one by an allow list never harsher. So when
the best and the worst that may still come lead to the same verdict, everything between them does, too. An allow list that
cannot be reached takes more weight from what rests on address lists than one that gives few points: while one is open, the
best is that no address list counts.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from resolverd.dnsbl.spec import ListSpec
from resolverd.mail.findings import Action
from resolverd.mail.lookups import Clear, Listed, ListLookup, ListReply, Question, Replies
from resolverd.mail.patterns import matches_recipient
from resolverd.mail.request import Attempt
from resolverd.policy.runs import CheckRuns
from resolverd.policy.verdict import Decision, VerdictRules, decide

_TTL = 0


class EarlyDecision:
    """Looks ahead for one attempt. `lists` by id; `frugal`: a refusal is a refusal, for now or for good."""

    def __init__(self, attempt: Attempt, lists: Mapping[str, ListSpec], rules: VerdictRules, *, frugal: bool = False):
        self._attempt = attempt
        self._lists = lists
        self._rules = rules
        self._frugal = frugal
        # What is found in mail to such recipients is wanted for its own sake.
        self._curious = bool(attempt.recipient) and matches_recipient(attempt.recipient, rules.exempt_recipients)

    def is_decided(self, runs: CheckRuns, open_: Collection[Question]) -> bool:
        """Whether the verdict is the same whatever comes of the open questions."""
        lookups = [question for question in open_ if isinstance(question, ListLookup)]
        if self._curious or not open_:
            return False
        if not runs.suppression().pending.isdisjoint(open_):
            return False  # an override that depends on who it is may suppress all that others say
        if not runs.replies and len(lookups) < len(open_) and not runs.speaks_at_once():
            return False
        best = self._decide(runs, self._best(runs.replies, lookups))
        if any(finding.effect.final for finding in best.findings):
            return True  # the admin's refusal is the answer, whatever others say
        if best.action is Action.REJECT and best.reply is not None and (best.reply.permanent or self._frugal):
            return True  # nothing is harsher, and none of the other questions makes it milder
        if len(lookups) < len(open_):
            return False  # what comes of names is not foreseen
        worst = self._decide(runs, {lookup: self._worst(lookup) for lookup in lookups})
        return _visible(best) == _visible(worst)

    def decisive_listings(self, runs: CheckRuns, is_hearsay: Callable[[ListLookup], bool]) -> list[ListLookup]:
        """The listings without which mail that is refused would not be; none where other things speak against it as well.

        Where those would refuse it for the time being only, those that are hearsay: what another host says makes nothing worse.
        """
        listed = [question for question, reply in runs.replies.items() if isinstance(reply, Listed) and reply.weight]
        lookups = [question for question in listed if isinstance(question, ListLookup) and self._blocks(question)]
        if not lookups:
            return []
        without = self._decide(runs, {lookup: Clear(lookup.list_id, _TTL) for lookup in lookups})
        if without.action not in (Action.REJECT, Action.DEFER):
            return lookups
        if without.action is Action.REJECT and without.reply is not None and without.reply.permanent:
            return []
        return [lookup for lookup in lookups if is_hearsay(lookup)]

    def _decide(self, runs: CheckRuns, supposed: Mapping[ListLookup, ListReply]) -> Decision:
        return decide(self._attempt, runs.findings(supposed), self._rules)

    def _blocks(self, question: Question) -> bool:
        return isinstance(question, ListLookup) and not self._lists[question.list_id].allows

    def _best(self, replies: Replies, open_: Sequence[ListLookup]) -> dict[ListLookup, ListReply]:
        best: dict[ListLookup, ListReply] = {}
        for lookup in open_:
            spec = self._lists[lookup.list_id]
            best[lookup] = _listed(spec, 3) if spec.allows else Clear(spec.id, _TTL)
        if any(self._lists[lookup.list_id].allows for lookup in open_):
            best |= {
                question: Clear(question.list_id, _TTL)
                for question in replies
                if isinstance(question, ListLookup) and self._blocks(question) and not isinstance(question.subject, str)
            }
        return best

    def _worst(self, lookup: ListLookup) -> ListReply:
        spec = self._lists[lookup.list_id]
        return Clear(spec.id, _TTL) if spec.allows else _listed(spec, 0)


def _listed(spec: ListSpec, trust: int) -> Listed:
    return Listed(spec.id, (), (), spec.heaviest, "", "", _TTL, trust=trust)


def _visible(decision: Decision) -> tuple[Action, bool, bool, bool]:
    """What of a decision the outside sees, and greylisting."""
    permanent = decision.reply is not None and decision.reply.permanent
    return decision.action, permanent, decision.wants_greylist, decision.suspicious
