"""Errands to lists: the question, how its answer is read, and on what terms it is asked."""

from collections.abc import Callable
from typing import NamedTuple

from resolverd.dnsbl.cache import Question
from resolverd.dnsbl.names import canary_name, list_name
from resolverd.dnsbl.response import ListResponse, read_answer, read_canary, read_txt
from resolverd.dnsbl.spec import Canary, ListSpec
from resolverd.wire import codes
from resolverd.wire.answer import Answer
from resolverd.wire.names import Address


class ListQuery(NamedTuple):
    """A question to a list, how its answer is read, and what it is about; no `subject` for test points and words (TXT).

    `bypass_suspension` goes past caches and a list's pause; `fresh` past caches only. `background`: no verdict waits for it.
    """

    question: Question
    read: Callable[[Answer], ListResponse]
    subject: Address | str | None = None
    bypass_suspension: bool = False
    fresh: bool = False
    background: bool = False


def subject_query(spec: ListSpec, subject: Address | str, *, background: bool = False) -> ListQuery | None:
    """What to ask a list about a subject; None if the list is not to be asked about it."""
    name = list_name(spec, subject)
    if name is None:
        return None
    return ListQuery((name, codes.A), lambda answer: read_answer(spec, subject, answer), subject, background=background)


def canary_query(spec: ListSpec, canary: Canary, *, bypass_suspension: bool = False) -> ListQuery:
    """What to ask a list at a test point."""
    question = (canary_name(spec, canary.subject), codes.A)
    return ListQuery(question, lambda answer: read_canary(spec, canary, answer), bypass_suspension=bypass_suspension)


def txt_query(spec: ListSpec, query: ListQuery) -> ListQuery:
    """What to ask a list for its own words on a listing."""
    return ListQuery((query.question[0], codes.TXT), lambda answer: read_txt(spec, answer), background=True)
