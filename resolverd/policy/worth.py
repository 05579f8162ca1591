"""What each list that lists somebody has done to a decision: the fold asked again, without it."""

from collections.abc import Sequence

from resolverd.mail.findings import Finding, Listing
from resolverd.mail.request import Attempt
from resolverd.policy.verdict import Decision, VerdictRules, decide
from resolverd.policy.what_if import differs


def listings(
    attempt: Attempt, findings: Sequence[Finding], rules: VerdictRules, decision: Decision, *, offline: bool = False
) -> tuple[Listing, ...]:
    """The lists of which these findings are listings, in the order of the findings.

    `findings` as the checks have them, before allow lists and maps are taken into account; `decision` without what greylisting
    says.
    """
    speaking = {finding.list_id: finding.effect.allow_listed for finding in findings if finding.list_id}
    found = []
    for name, allows in speaking.items():
        without = decide(attempt, [each for each in findings if each.list_id != name], rules, offline=offline)
        decisive = differs(without, decision) or _meets_greylisting(without) != _meets_greylisting(decision)
        found.append(Listing(name, sum(other == allows for other in speaking.values()) == 1, decisive))
    return tuple(found)


def _meets_greylisting(decision: Decision) -> tuple[bool, bool]:
    """Whether greylisting is asked, and whether as for somebody suspicious."""
    return decision.wants_greylist, decision.wants_greylist and decision.suspicious
