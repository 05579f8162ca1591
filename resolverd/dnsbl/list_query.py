"""Errands to lists: the question, how its answer is read, and on what terms it is asked."""

from collections.abc import Callable
from typing import NamedTuple

from resolverd.dnsbl.cache import Question
from resolverd.dnsbl.names import canary_name, list_name
from resolverd.dnsbl.response import Told, read_answer, read_canary, read_words
from resolverd.dnsbl.spec import Canary, ListSpec
from resolverd.wire import codes
from resolverd.wire.answer import Answer
from resolverd.wire.names import Address


class Errand(NamedTuple):
    """A question to a list, how its answer is read, and what it is about; no `subject` for test points and words (TXT).

    `probing` goes past caches and a list's pause; `fresh` past caches only. `needless`: no verdict waits for it.
    """

    question: Question
    read: Callable[[Answer], Told]
    subject: Address | str | None = None
    probing: bool = False
    fresh: bool = False
    needless: bool = False


def about(spec: ListSpec, subject: Address | str, *, needless: bool = False) -> Errand | None:
    """What to ask a list about a subject; None if the list is not to be asked about it."""
    name = list_name(spec, subject)
    if name is None:
        return None
    return Errand((name, codes.A), lambda answer: read_answer(spec, subject, answer), subject, needless=needless)


def at_point(spec: ListSpec, canary: Canary, *, probing: bool = False) -> Errand:
    """What to ask a list at a test point."""
    question = (canary_name(spec, canary.subject), codes.A)
    return Errand(question, lambda answer: read_canary(spec, canary, answer), probing=probing)


def for_words(spec: ListSpec, errand: Errand) -> Errand:
    """What to ask a list for its own words on a listing."""
    return Errand((errand.question[0], codes.TXT), lambda answer: read_words(spec, answer), needless=True)
