"""What the log says of a decision."""

from collections.abc import Iterable
from typing import Final

from resolverd.mail.findings import Action, Verdict
from resolverd.mail.request import Attempt

_WORDS: Final = {Action.ACCEPT: "pass", Action.REJECT: "reject", Action.DEFER: "defer", Action.GREYLIST: "greylist"}
_KINDS: Final = (
    "nothing speaks against it", "authenticated client", "trusted network", "exempt recipient", "observed only", "greylisted",
    "score", "internal error", "nothing could be found out",
)  # fmt: skip
"""How reasons begin that are more than the text of a finding."""


def fields(attempt: Attempt, verdict: Verdict, *, nameless: bool = False) -> dict[str, str | int | float]:
    """What one decision's log line says; greylisting's reasons in Postgrey's words. `nameless`: the reason in nobody else's."""
    greylist = verdict.greylist
    reason = verdict.reason
    if greylist is not None and greylist.state != "skipped" and verdict.action in (Action.ACCEPT, Action.GREYLIST):
        reason = greylist.reason or reason
    said: dict[str, str | int | float] = {
        "queue_id": attempt.queue_id,
        "action": _WORDS[verdict.action],
        "reason": nameless_reason(reason, verdict) if nameless else reason,
    }
    if greylist is not None and greylist.delayed:
        said["delay"] = greylist.delayed
    said |= {
        "client_name": attempt.client_name,
        "client_address": str(attempt.client_address or ""),
        "sender": attempt.sender,
        "recipient": attempt.recipient,
        "helo_name": attempt.helo_name,
        "score": f"{verdict.score:g}",
        "codes": "+".join(finding.code for finding in verdict.findings if finding.consequence is not None),
        "id": verdict.id,
        "ms": verdict.ms,
    }
    if verdict.partial:
        said["partial"] = "yes"
    return said


def nameless_reason(reason: str, verdict: Verdict) -> str:
    """The reason without anybody's words, for a log that names nobody: how it begins, and the codes of what was found."""
    if verdict.greylist is not None and reason == verdict.greylist.reason:
        return reason
    codes = (each.code for each in verdict.findings if each.consequence is not None or each.effect.suppresses)
    return without_words(reason, codes, verdict.action)


def without_words(reason: str, codes: Iterable[str], action: Action) -> str:
    """The same of a reason that is not greylisting's, by the codes of the findings that have had their part in it."""
    kind = next((each for each in _KINDS if reason.startswith(each)), "")
    return ": ".join(filter(None, (kind, "+".join(codes)))) or action.value
