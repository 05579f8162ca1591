"""What would have changed a decision: the fold asked again, without what stood for it (the support desk's first question)."""

from collections.abc import Sequence
from typing import NamedTuple

from resolverd.mail.findings import Action, Consequence, Finding, GreylistOutcome, WhatIf
from resolverd.mail.patterns import matches_recipient
from resolverd.mail.request import Attempt
from resolverd.mail.sanitize import points
from resolverd.policy.verdict import WAITING, Decision, VerdictRules, decide
from resolverd.values import replace


class WhatIfs(NamedTuple):
    """What would have changed a decision, whatever greylisting says of it: for others or without findings; with more points."""

    without: tuple[WhatIf, ...]
    more: tuple[WhatIf, ...]

    def beside(self, greylist: GreylistOutcome | None) -> tuple[WhatIf, ...]:
        """All of it, with what would change the mind of greylisting where that defers."""
        if greylist is None or greylist.state not in WAITING:
            return self.without + self.more
        later = WhatIf((), Action.ACCEPT, f"at another try after {greylist.missing} s: accept")
        return (*self.without, later, *self.more)


def what_ifs(
    attempt: Attempt, findings: Sequence[Finding], rules: VerdictRules, decision: Decision, *, skipped: bool = False
) -> WhatIfs:
    """The recipient, then each finding that decides by itself; else the fewest that do together, heaviest first. Then points
    that are missing.

    `findings` as the checks have them, before allow lists and maps are taken into account; `decision` without what
    greylisting says. `skipped`: not everything was asked, as the decision was certain.
    """
    found = _exempt(attempt, findings, rules, decision)
    counting = [each for each in findings if each.consequence is not None or each.effect.suppresses or each.effect.may_suppress]
    for finding in counting if not found else ():
        changed = decide(attempt, [each for each in findings if each is not finding], rules)
        if differs(changed, decision):
            found.append(_without((finding,), changed))
    if not found and decision.action in (Action.REJECT, Action.DEFER):
        found += _together(attempt, findings, counting, rules, decision)
    scoring = sum(each.score for each in decision.findings if each.consequence is Consequence.SCORE)
    more: tuple[WhatIf, ...] = ()
    if decision.action is Action.ACCEPT and 0 < scoring < rules.reject_at:
        more = (WhatIf((), Action.REJECT, f"with {points(rules.reject_at - scoring)} points more: reject"),)
    said = ", as far as was asked" if skipped else ""
    without = (each._replace(text=each.text + said) if each.without else each for each in dict.fromkeys(found))
    return WhatIfs(tuple(without), more)


def _exempt(attempt: Attempt, findings: Sequence[Finding], rules: VerdictRules, decision: Decision) -> list[WhatIf]:
    if not (attempt.recipient and matches_recipient(attempt.recipient, rules.exempt_recipients)):
        return []
    changed = decide(replace(attempt, recipient=""), findings, rules)
    said = f"to a recipient who is not exempt: {changed.action}"
    return [WhatIf((), changed.action, said)] if differs(changed, decision) else []


def _together(
    attempt: Attempt, findings: Sequence[Finding], counting: Sequence[Finding], rules: VerdictRules, decision: Decision
) -> list[WhatIf]:
    """As many as it takes, of those that speak against it."""
    against = [each for each in counting if each.consequence is not None and not each.effect.suppresses]
    left_out: list[Finding] = []
    for finding in sorted(against, key=lambda each: -each.score):
        left_out.append(finding)
        changed = decide(attempt, [each for each in findings if not any(each is other for other in left_out)], rules)
        if changed.action not in (decision.action, Action.REJECT):
            return [_without(tuple(left_out), changed)]
    return []


def _without(findings: tuple[Finding, ...], changed: Decision) -> WhatIf:
    codes = tuple(dict.fromkeys(finding.code for finding in findings))
    then = ", if greylisting lets it" if changed.wants_greylist else f" with {changed.reply.code}" if changed.reply else ""
    return WhatIf(codes, changed.action, f"without {' and '.join(codes)}: {changed.action}{then}")


def differs(changed: Decision, decision: Decision) -> bool:
    """Greylisting has its say over what is not refused, so it is no other outcome of the fold."""
    passes = (Action.ACCEPT, Action.GREYLIST)
    if changed.action in passes or decision.action in passes:
        return (changed.action in passes) != (decision.action in passes)
    ours, theirs = decision.reply, changed.reply
    return changed.action is not decision.action or (ours is not None and ours.permanent) != (
        theirs is not None and theirs.permanent
    )
