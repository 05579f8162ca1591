"""What is wrong at the moment, of that which somebody is told about (``[alerts]``). A pure core."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from resolverd.dnsbl.spec import ListStatus

WATCH: Final = "own-address"
LIST: Final = "list"
QUOTA: Final = "quota"
STORE: Final = "store"
CLOCK: Final = "clock"
INTERNET: Final = "internet"
KINDS: Final = (WATCH, LIST, QUOTA, STORE, CLOCK, INTERNET)
TITLES: Final = {
    WATCH: "an own address is listed",
    LIST: "a list is suspended or lost",
    QUOTA: "a list's quota is running out",
    STORE: "trouble with the store",
    CLOCK: "the clock is wrong",
    INTERNET: "the internet is out of reach",
}
SHARED: Final = "shared"
"""The subject of trouble with the store that hosts share: of kind `STORE`."""
_NEARLY_SPENT: Final = 0.8
"""Share of a quota that is spent when it is running out."""


class Trouble(NamedTuple):
    """One thing that is wrong: its kind, what it is about (empty where there is but one), and what is to be said."""

    kind: str
    subject: str
    text: str


class Condition(NamedTuple):
    """What the daemon says of itself. `not_ready`, `clock_fault`, `store_fault`, `shared_fault`: empty where all is well.

    `set_aside`: how many damaged stores were set aside since the start, of which `recovered` records were got back.
    `shared_fault` is that of the store that several hosts share.
    """

    lists: Sequence[ListStatus]
    not_ready: str
    clock_fault: str
    store_fault: str
    set_aside: int
    recovered: int
    shared_fault: str = ""


def troubles(now: Condition) -> Iterator[Trouble]:
    """Everything that is wrong."""
    in_use = [status for status in now.lists if status.enabled]
    yield from _listings(in_use)
    for status in in_use:
        if status.state in ("suspended", "unreachable"):
            why = f": {status.last_error}" if status.last_error else ""
            yield Trouble(LIST, status.id, f"list {status.id} is {status.state}, and not asked for the time being{why}")
        if status.quota and status.quota_left is not None and status.quota - status.quota_left >= status.quota * _NEARLY_SPENT:
            yield Trouble(QUOTA, status.id, _quota(status))
    if now.store_fault:
        yield Trouble(STORE, "fault", f"the store {now.store_fault}; greylisting and whatever else is kept go on without it")
    if now.shared_fault:
        yield Trouble(STORE, SHARED, f"the shared store: {now.shared_fault}; mail goes on by what this host knows of it")
    if now.set_aside:
        text = f"a damaged store was set aside; {now.recovered} of its records have been recovered by now"
        yield Trouble(STORE, "set aside", text)
    if now.clock_fault:
        yield Trouble(CLOCK, "", f"DNSSEC is not validated until the clock is right: {now.clock_fault}")
    if now.not_ready:
        yield Trouble(INTERNET, "", f"no names can be resolved, so mail passes unchecked but for greylisting: {now.not_ready}")


def _listings(lists: Iterable[ListStatus]) -> Iterator[Trouble]:
    for status in lists:
        for address in status.watched:
            more = f", see {status.link}" if status.link else ""
            yield Trouble(WATCH, f"{address} {status.id}", f"our own address {address} is listed by {status.shown}{more}")


def _quota(status: ListStatus) -> str:
    said = f"list {status.id}: {status.quota_left} of the {status.quota} questions of its quota are left"
    if not status.quota_left:
        return f"{said}, so that it is not asked"
    return said if status.forecast is None else f"{said}, for about {status.forecast / 3600:.1f} hours at this pace"
