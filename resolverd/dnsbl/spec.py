"""A list as configured: what it is asked, what its answers mean, what we may use of it; and how it fares at the moment."""

from dataclasses import dataclass, field
from typing import NamedTuple

from resolverd.dnsbl.codes import CodeTable
from resolverd.dnsbl.quota import Allowance
from resolverd.wire.names import Address, Name

__all__ = ["ADDRESSES", "DOMAIN", "HASH", "IP4", "IP6", "Allowance", "Canary", "ListSpec", "ListStatus"]

IP4, IP6, DOMAIN, HASH = "ip4", "ip6", "domain", "hash"

ADDRESSES = frozenset({IP4, IP6})
"""The kinds that are asked of addresses."""


class Canary(NamedTuple):
    """A test point: a subject whose answer a list documents (RFC 5782 §5).

    `answers`: the very A rdatas, where the list documents them.
    """

    subject: Address | str
    listed: bool
    answers: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class ListSpec:
    """One DNS list, block or allow (RFC 5782).

    `zone` is where its names live, key included if it has one, so it is never shown: `shown` stands in texts, logs and
    replies (the zone, or the id of a keyed list). `number` is N of 127.0.1.N in the combined zone. `weight` in points
    where a code has none of its own; negative for allow lists. `registered_domain`: it wants the registered domain
    instead of the full name. `of`: the list (by id) with which it shares a quota, as a part of it. TTL clamps in seconds.
    """

    id: str
    zone: Name = field(repr=False)
    shown: str
    number: int
    kinds: frozenset[str]
    purpose: str
    weight: float
    codes: CodeTable = field(repr=False)
    link: str = ""
    terms: str = ""
    quota: Allowance | None = None
    rate: Allowance | None = None
    keyed: bool = False
    registered_domain: bool = False
    canaries: tuple[Canary, ...] = field(default=(), repr=False)
    min_ttl: int = 60
    max_ttl: int = 86400
    negative_max_ttl: int = 3600
    of: str = ""
    allows: bool = field(init=False, repr=False, compare=False)
    """An allow list: being on it is a good sign."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "allows", self.purpose == "allow")

    @property
    def denied(self) -> Canary | None:
        """A test point that the list must not list, so that it proves that not everything is listed."""
        return next((canary for canary in self.canaries if not canary.listed), None)

    @property
    def heaviest(self) -> float:
        """The points of the gravest listing: the most of a block list, the least (as they are negative) of an allow list."""
        weights = (self.weight if code.weight is None else code.weight for _, code in self.codes.codes)
        return min(weights, default=self.weight) if self.allows else max(weights, default=self.weight)

    def takes(self, subject: Address | str) -> bool:
        """Whether subjects of this kind (IPv4, IPv6, domain) are what the list lists."""
        return kind_of(subject) in self.kinds


def kind_of(subject: Address | str) -> str:
    """What kind of subject it is, as `ListSpec.kinds` has them."""
    if isinstance(subject, str):
        return DOMAIN
    return IP4 if subject.version == 4 else IP6


class ListStatus(NamedTuple):
    """How a list fares now: for `resolverd lists`, /v1/lists and ``_status``.

    `state`: ok, suspended (error codes, or it lists what no list may list), unreachable (after failures), spent (quota),
    disabled. `quota_left` and `quota` count questions; None without quota. `forecast`: seconds until the quota is spent at
    the present pace, None if that will not be. `asked` counts questions as they left for the list's servers. Latencies in
    milliseconds, None before the first answer. `watched`: those of our own addresses that it lists.
    """

    id: str
    shown: str
    purpose: str
    kinds: tuple[str, ...]
    enabled: bool
    state: str
    quota: int | None = None
    quota_left: int | None = None
    asked: int = 0
    listed: int = 0
    failed: int = 0
    p50: float | None = None
    p99: float | None = None
    last_error: str = ""
    terms: str = ""
    link: str = ""
    forecast: int | None = None
    watched: tuple[str, ...] = ()
