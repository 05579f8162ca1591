"""What was found out for one recipient of a message counts for the others, unless something has changed meanwhile."""

import asyncio

import pytest
from virtualtime import VirtualClock, virtual

from resolverd.generation import Generation
from resolverd.policy.cache import MAX_AGE, Transaction, TransactionCache
from resolverd.policy.lookup_budget import LookupBudgets, ZoneRates
from resolverd.policy.lookups import LookupResults
from tests.unit.policy.test_service import Setup, attempt

MAIL = attempt(instance="a")


def transaction() -> Transaction:
    return Transaction(LookupResults({}, frozenset()), [], False, LookupBudgets.full(ZoneRates(VirtualClock())))


def test_nothing_found_out_counts_beyond_a_change_but_what_it_has_cost() -> None:
    names = Generation()
    messages = TransactionCache(Generation(names))
    begun, known = messages.generation.number, transaction()
    messages.put(MAIL, known, 0, begun)
    assert messages.get(MAIL, 0) is known
    names.bump()
    assert messages.get(MAIL, 0) is None
    assert messages.budgets(MAIL, 0) is known.budgets, "whoever waits for a change gains nothing by it"
    messages.put(MAIL, known, 0, begun)
    assert messages.get(MAIL, 0) is None, "it was in flight before"
    messages.put(MAIL, known, 0, messages.generation.number)
    assert messages.get(MAIL, 0) is known


def test_messages_whose_time_is_over_are_forgotten() -> None:
    messages, known = TransactionCache(), transaction()
    for number in range(100):
        messages.put(attempt(instance=str(number)), known, 0, messages.generation.number)
    for number in range(100, 140):
        messages.put(attempt(instance=str(number)), known, MAX_AGE + 1, messages.generation.number)
    assert len(messages) == 40, "each new one lets some go, not all at once"
    assert messages.get(attempt(instance="139"), MAX_AGE + 1) is known


@pytest.mark.parametrize("in_flight", [False, True])
@virtual
async def test_the_next_recipient_is_judged_by_what_is_so_then(in_flight: bool) -> None:
    generation = Generation()
    setup = Setup(generation=generation)
    if in_flight:
        first = asyncio.create_task(setup.verdict())
        await asyncio.sleep(0.001)
        generation.bump()
        await first
    else:
        await setup.verdict()
        asked = len(setup.internet.asked)
        await setup.verdict(recipient="other@example.org")
        assert len(setup.internet.asked) == asked
        generation.bump()
    asked = len(setup.internet.asked)
    await setup.verdict(recipient="third@example.org")
    assert len(setup.internet.asked) == 2 * asked
