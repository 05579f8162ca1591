"""Greylisting as Postgrey 1.37 does it: an unknown triplet is asked to come back, and passes when it does.

    unknown ──first try──> waiting ──retry after `delay`──> passed ──seen within `max_age`──> passed
                              └──no retry within `retry_window`: the next try is a first one again

A client whose triplets passed `auto_allow_after` times (counted once an hour at most, by full address) is not asked to
wait any more. Times are whole wall-clock seconds: with ``delay = 1s`` a retry in the next second, however early in it,
has waited (a second MX record on the same host then costs senders no time).

Some things are done better than there. That a triplet passed is remembered, not derived from the present `delay`, so that
neither a longer delay nor a clock set back makes a passed triplet unknown. A known triplet is written again only once in a
while, not with every message. What speaks against a client can make it wait longer (`delay_per_point`). And senders are
learnt as clients are: who sends one-time codes and login links sends them to everybody, each time from another host to
somebody new, and nobody waits five minutes for a code that is good for ten. An organisation that is verified
(`greylist.organisation`) and has passed `auto_allow_after` times with one sender domain waits no more with it.
"""

import struct
from dataclasses import dataclass
from datetime import datetime

from resolverd.mail.findings import GreylistOutcome
from resolverd.values import Value

HOUR = 3600
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class GreylistRules:
    """The configured rules, ``[greylist]``; durations in whole seconds. `auto_allow_after` 0: never.

    `when`: ``always``, or ``suspicious`` to let those pass of whom no check has anything to say. `key`: whose hosts count
    as one, the ``network``'s or the ``organisation``'s. `delay_per_point`: so many delays more for each point of the score.
    """

    enabled: bool = True
    delay: int = 300
    retry_window: int = 2 * DAY
    max_age: int = 35 * DAY
    auto_allow_after: int = 5
    ipv4_prefix: int = 24
    ipv6_prefix: int = 64
    when: str = "always"
    key: str = "organisation"
    delay_per_point: float = 0.0

    @property
    def refresh(self) -> int:
        """Seconds after which a known triplet is written again: an hour, less where `max_age` is short."""
        return min(HOUR, self.max_age // 24)

    def wait(self, score: float) -> int:
        """Seconds that an unknown triplet with this score has to wait: never less than `delay`, and always time left to retry."""
        longer = int(self.delay * (1 + self.delay_per_point * max(score, 0.0)))
        return max(self.delay, min(longer, self.retry_window // 2))


class Triplet(Value, frozen=True):
    """What is kept of a triplet: the first try that counts, the last one, and whether it has passed. Wall seconds."""

    first: int
    last: int
    passed: bool

    def expires(self, rules: GreylistRules) -> int:
        """The wall second from which it counts no more."""
        return self.last + (rules.max_age if self.passed else rules.retry_window) + 1

    def __or__(self, other: "Triplet") -> "Triplet":
        """What two hosts know of it, together: the earliest first try, the latest of all, and that it has passed at one."""
        return Triplet(min(self.first, other.first), max(self.last, other.last), self.passed or other.passed)


class Client(Value, frozen=True):
    """What is kept of a client: how many triplets of its passed (one an hour at most), and when the last was counted.

    The same is kept of a sender domain of an organisation.
    """

    passes: int
    last: int

    def expires(self, rules: GreylistRules) -> int:
        """The wall second from which it counts no more."""
        return self.last + rules.max_age + 1

    def __or__(self, other: "Client") -> "Client":
        """What two hosts have counted, together: no more than one of them, as both went on from the same count."""
        return Client(max(self.passes, other.passes), max(self.last, other.last))


class GreylistDecision(Value, frozen=True):
    """The outcome, and the records that have to be written for it; None where nothing changes."""

    outcome: GreylistOutcome
    triplet: Triplet | None = None
    client: Client | None = None
    sender: Client | None = None


def is_allowed(client: Client | None, rules: GreylistRules) -> bool:
    """Whether the client, or sender, has passed often enough; the triplet then doesn't matter."""
    return client is not None and 0 < rules.auto_allow_after <= client.passes


def decide(
    now: float,
    triplet: Triplet | None,
    client: Client | None,
    rules: GreylistRules,
    *,
    sender: Client | None = None,
    score: float = 0,
    learns: bool = False,
) -> GreylistDecision:
    """What becomes of a try at `now` (wall seconds), with what is known of its triplet, its client and its sender.

    `score`: the points against it. `learns`: the organisation is verified, so a success counts for its sender, too.

    ======================  ============  =================================
    outcome                 state         reason (Postgrey's words)
    ======================  ============  =================================
    client passed often     allowed       ``client AWL``
    sender passed often     allowed       ``sender AWL`` (not in Postgrey)
    first try               new           ``new``
    retry too soon          early-retry   ``early-retry (173s missing)``
    first success           passed        ``triplet found``
    known triplet           known         ``triplet found``
    ======================  ============  =================================
    """
    second = min(max(int(now), 0), _LATEST)
    if client is not None and is_allowed(client, rules):
        return GreylistDecision(GreylistOutcome("allowed", reason="client AWL"), client=_counted(client, second))
    if sender is not None and is_allowed(sender, rules):
        return GreylistDecision(GreylistOutcome("allowed", reason="sender AWL"), sender=_counted(sender, second))
    if triplet is not None and triplet.passed:
        due = second - triplet.last >= rules.refresh or second < triplet.last
        seen = Triplet(min(triplet.first, second), second, passed=True) if due else None
        return GreylistDecision(GreylistOutcome("known", reason="triplet found"), seen)

    first = second
    # A first try in the future was dated by a clock that has been set back since.
    if triplet is not None and second - rules.retry_window <= triplet.first <= second:
        first = triplet.first
    waited = second - first
    missing = rules.wait(score) - waited
    if missing > 0:
        state, reason = ("early-retry", f"early-retry ({missing}s missing)") if waited else ("new", "new")
        seen = Triplet(first, second, passed=False)
        return GreylistDecision(GreylistOutcome(state, missing=missing, reason=reason), seen if seen != triplet else None)
    outcome = GreylistOutcome("passed", delayed=waited, reason="triplet found")
    passed = Triplet(first, second, passed=True)
    if not rules.auto_allow_after:
        return GreylistDecision(outcome, passed)
    return GreylistDecision(outcome, passed, _counted(client, second), _counted(sender, second) if learns else None)


def _counted(client: Client | None, now: int) -> Client | None:
    """The client with one success more, or None within the hour after the last: one burst of mail proves nothing."""
    if client is None:
        return Client(1, now)
    if client.last <= now < client.last + HOUR:
        return None
    return Client(min(client.passes + 1, _LATEST), now)


_LATEST = 2**32 - 1
_VERSION = 1
_TRIPLET = struct.Struct(">BBII")
_CLIENT = struct.Struct(">BII")


def encode_triplet(triplet: Triplet) -> bytes:
    """Ten octets, big endian: version 1; 1 if passed, else 0; first; last (seconds since 1970, 32 bits)."""
    return _TRIPLET.pack(_VERSION, triplet.passed, triplet.first, triplet.last)


def decode_triplet(octets: bytes) -> Triplet | None:
    """The record, or None for octets that are none: damaged ones count as absent."""
    if len(octets) != _TRIPLET.size:
        return None
    version, passed, first, last = _TRIPLET.unpack(octets)
    return Triplet(first, last, bool(passed)) if version == _VERSION and passed <= 1 else None


def encode_client(client: Client) -> bytes:
    """Nine octets, big endian: version 1; passes; last (seconds since 1970); 32 bits each."""
    return _CLIENT.pack(_VERSION, client.passes, client.last)


def decode_client(octets: bytes) -> Client | None:
    """The record, or None for octets that are none: damaged ones count as absent."""
    if len(octets) != _CLIENT.size:
        return None
    version, passes, last = _CLIENT.unpack(octets)
    return Client(passes, last) if version == _VERSION else None


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def x_greylist(delayed: int, version: str, host: str, date: datetime) -> str:
    """The header that goes with the first success, in Postgrey's form.

    ``X-Greylist: delayed 421 seconds by resolverd-1.0 at mx.example; Sat, 08 Apr 2017 01:07:58 CEST``. `date` is local
    time with its zone; day and month are English whatever the locale, as headers want them.
    """
    when = f"{_DAYS[date.weekday()]}, {date:%d} {_MONTHS[date.month - 1]} {date:%Y %H:%M:%S %Z}"
    return f"X-Greylist: delayed {delayed} seconds by resolverd-{version} at {host}; {when}"
