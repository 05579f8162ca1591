"""What of the counters makes the time series, and under which names."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

_Labels: TypeAlias = Mapping[str, str]

ALWAYS: Final = (
    "verdicts.accept", "verdicts.reject", "verdicts.defer", "verdicts.greylist",
    "dns.questions", "dns.hit", "dns.sent", "policy.connections", "policy.requests",
    "greylist.new", "greylist.waiting", "greylist.passed",
)  # fmt: skip
"""Series that are there before anything of theirs was counted."""
_GREYLIST: Final = {"new": "new", "early-retry": "waiting", "passed": "passed", "known": "known", "allowed": "allowed"}
_LIST: Final = {
    "list_queries": "asked", "list_hits": "hits", "list_unique_hits": "unique_hits", "list_decisive_hits": "decisive_hits",
}  # fmt: skip


def totals(counted: Iterable[tuple[str, _Labels, int]]) -> dict[str, int]:
    """The counts since the start, by series, of what a `Counters` has counted."""
    found: dict[str, int] = {}
    for name, labels, value in counted:
        make = _SERIES.get(name)
        if make is not None:
            for series, sign in make(labels):
                found[series] = found.get(series, 0) + sign * value
    return found


def of_list(name: str, what: str) -> str:
    """The series of a list: ``asked``, ``listed``, ``failed``, ``hits``, ``unique_hits`` or ``decisive_hits``."""
    return f"lists.{name}.{what}"


def _answers(labels: _Labels) -> Iterable[tuple[str, int]]:
    yield from (("dns.questions", 1), ("dns.hit", 1))
    if labels["rcode"] == "SERVFAIL":
        yield "dns.servfail", 1


def _replies(labels: _Labels) -> Iterable[tuple[str, int]]:
    if labels["reply"] != "clear":
        yield of_list(labels["list"], "listed" if labels["reply"] == "listed" else "failed"), 1


def _greylist(labels: _Labels) -> Iterable[tuple[str, int]]:
    if (word := _GREYLIST.get(labels["state"])) is not None:
        yield f"greylist.{word}", 1


def _plain(series: str) -> Callable[[_Labels], Iterable[tuple[str, int]]]:
    return lambda labels: ((series, 1),)


def _of_list(what: str) -> Callable[[_Labels], Iterable[tuple[str, int]]]:
    return lambda labels: ((of_list(labels["list"], what), 1),)


_SERIES: Final[Mapping[str, Callable[[_Labels], Iterable[tuple[str, int]]]]] = {
    "verdicts": lambda labels: ((f"verdicts.{labels['action']}", 1),),
    "verdict_causes": lambda labels: ((f"verdicts.by_code.{labels['code']}", 1),),
    "dns_packet_hits": lambda labels: (("dns.questions", 1), ("dns.hit", 1)),
    "dns_answers": _answers,
    "dns_cache_misses": lambda labels: (("dns.hit", -1),),
    "dns_refused": _plain("dns.refused"),
    "dns_limited": _plain("dns.limited"),
    "dns_dropped": _plain("dns.dropped"),
    "stale_answers": _plain("dns.stale"),
    "queries_sent": _plain("dns.sent"),
    "policy_connections": _plain("policy.connections"),
    "policy_decisions": _plain("policy.requests"),
    "policy_failures": _plain("policy.failures"),
    "list_replies": _replies,
    "greylist": _greylist,
    **{name: _of_list(what) for name, what in _LIST.items()},
}
"""How each counter counts into series: +1 or -1."""
