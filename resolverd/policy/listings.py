"""What the checks of lists have in common: which list takes which subject, who lists it, and what is said of all the others."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from resolverd.dnsbl.names import is_public
from resolverd.dnsbl.spec import ListSpec, kind_of
from resolverd.failures import Unknown, Why
from resolverd.mail.findings import Finding, Status
from resolverd.mail.lookups import Clear, Listed, ListLookup, Replies, Skipped
from resolverd.mail.request import Attempt
from resolverd.policy.asking import Fold
from resolverd.policy.check import neutral, nothing
from resolverd.policy.evidence import evidence, why
from resolverd.wire.names import Address


class Asked(NamedTuple):
    """One list and what it is asked."""

    spec: ListSpec
    question: ListLookup


def asked(lists: Iterable[ListSpec], subject: Address | str) -> list[Asked]:
    """The question to each of the lists that takes such a subject."""
    kind = kind_of(subject)
    return [Asked(spec, ListLookup(spec.id, subject)) for spec in lists if kind in spec.kinds]


def address_lists(attempt: Attempt, lists: Iterable[ListSpec]) -> list[Asked]:
    """The question to each of the lists that can know anything of the client's address."""
    address = attempt.client_address
    return asked(lists, address) if address is not None and is_public(address) else []


def fold(questions: Sequence[Asked], judge: Callable[[Replies], list[Finding]]) -> Fold:
    """What a check has come to that asks these questions of lists."""
    return Fold(tuple([one.question for one in questions]), judge)


def why_not_asked(attempt: Attempt) -> str:
    """Why no list was asked about the client's address."""
    if attempt.client_address is None:
        return "no client address given"
    if not is_public(attempt.client_address):
        return f"{attempt.client_address} is not a public address"
    return f"no list is asked about IPv{attempt.client_address.version} addresses"


def listings(questions: Iterable[Asked], replies: Replies) -> list[tuple[Asked, Listed]]:
    """Those that list their subject, heaviest first, among equals in the order of their numbers."""
    found = [(one, reply) for one in questions if isinstance(reply := replies.get(one.question), Listed)]
    return sorted(found, key=lambda pair: (-abs(pair[1].weight), pair[0].spec.number))


def uncounted(check: str, code: str, who: str, one: Asked, listed: Listed, replies: Replies) -> Finding:
    """The finding of a listing that weighs nothing: it is shown, and does nothing, whatever listings do."""
    text = f"{who} {listed.reason or f'listed by {one.spec.shown}'}; 0 points, so it does not count"
    return neutral(check, code, text, evidence(replies, [one.question], one.spec.shown))._replace(
        link=listed.link, list_id=one.spec.id
    )


def unknowns(questions: Iterable[Asked], replies: Replies) -> list[tuple[Asked, Unknown]]:
    """Those of which it is not known."""
    found = []
    for one in questions:
        reply = replies.get(one.question, Unknown(Why.TIMEOUT))
        if not isinstance(reply, Listed | Clear | Skipped):
            found.append((one, reply if isinstance(reply, Unknown) else Unknown(Why.FAILED)))
    return found


def not_listed(check: str, questions: Sequence[Asked], replies: Replies) -> list[Finding]:
    """The finding on the lists that do not list, if there are any: ``CHECK_clear``, or ``CHECK_unknown`` if one did not answer;
    ``CHECK_skipped`` if none was asked."""
    others = [one for one in questions if not isinstance(replies.get(one.question), Listed)]
    if not others:
        return []
    seen = tuple(piece for one in others for piece in evidence(replies, [one.question], one.spec.shown))
    unasked = dict.fromkeys(one.spec.shown for one in others if isinstance(replies.get(one.question), Skipped))
    besides = f"; not asked, as the verdict is certain without: {', '.join(unasked)}" if unasked else ""
    if missing := unknowns(others, replies):
        words = dict.fromkeys(f"{one.spec.shown} ({why(reply)})" for one, reply in missing)
        return [neutral(check, f"{check}_unknown", f"no answer from {', '.join(words)}{besides}", seen, status=Status.UNKNOWN)]
    names = dict.fromkeys(one.spec.shown for one in others if isinstance(replies.get(one.question), Clear))
    if not names:
        return [nothing(check, f"{check}_skipped", f"not asked, as the verdict is certain without: {', '.join(unasked)}", seen)]
    return [neutral(check, f"{check}_clear", f"not listed by {', '.join(names)}{besides}", seen)]
