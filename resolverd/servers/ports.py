"""What the policy and HTTP edges need of the daemon: one Protocol, which app fulfils."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from resolverd.dnsbl.spec import ListStatus
from resolverd.failures import ConfigFault
from resolverd.greylist.admin import Cursor, GreylistRecord, RecordFilter, RecordPage
from resolverd.mail.findings import Verdict
from resolverd.mail.lookups import ListReply, Skipped
from resolverd.mail.request import Attempt
from resolverd.overrides.rules import Key, Override
from resolverd.overrides.store import NewOverride, OverrideView
from resolverd.state import dump
from resolverd.state.dump import Loaded, Stored
from resolverd.wire.names import Address, Name


class ListSaying(NamedTuple):
    """One list, and what it says of a subject."""

    state: ListStatus
    reply: ListReply | Skipped


class CacheEntry(NamedTuple):
    """An RRset or denial in the cache, in presentation form; `ttl` in seconds still to live, negative when stale.

    `records` is empty for a denial, whose `kind` is then NXDOMAIN or NODATA; otherwise `kind` is the trust it is held in.
    """

    name: str
    type: str
    ttl: int
    kind: str
    security: str
    records: tuple[str, ...]


class Exchange(NamedTuple):
    """One exchange of a resolution: the zone whose server was asked, what, and what came of it; names as text."""

    zone: str
    server: str
    name: str
    type: str
    outcome: str
    ms: int


class Trace(NamedTuple):
    """How a name is resolved, from the root downwards: the exchanges, and the answer at their end with its reasons."""

    exchanges: tuple[Exchange, ...]
    rcode: str
    records: tuple[str, ...]
    reasons: tuple[str, ...]
    ms: int


class Readiness(NamedTuple):
    """Whether names can be resolved (the root or the forwarders answer), and if not, why."""

    ready: bool
    reason: str = ""


class Gauge(NamedTuple):
    """A measured value for /metrics; `name` without the ``resolverd_`` prefix, labels from closed sets only."""

    name: str
    value: float
    labels: Mapping[str, str] = {}


class TaskState(NamedTuple):
    """A task of the daemon: ``running``, ``restarting`` after a fault, or ``done``; and how often it has ended by a fault."""

    state: str
    faults: int


class Backend(Protocol):
    """The daemon, as its edges see it."""

    async def screen(self, attempt: Attempt, *, record: bool) -> Verdict:
        """The verdict on an attempt; with `record` it counts (greylist, headers due), otherwise nothing changes."""
        ...

    async def verdict(self, reference: str) -> Verdict | None:
        """The verdict that has this id, or None if there is none any more."""
        ...

    async def lookup(self, subject: Address | str) -> Sequence[ListSaying]:
        """What every enabled list of its kind says of an address or a domain (lower case, no final dot)."""
        ...

    def lists(self) -> Sequence[ListStatus]:
        """Every list, enabled or not, in the catalogue's order."""
        ...

    def set_list(self, name: str, enabled: bool) -> ListStatus | None:
        """Use this list, or stop using it, until the next start; None if there is none of that name."""
        ...

    async def probe_list(self, name: str) -> ListStatus | None:
        """Ask the list's test points now, and lift a suspension if they answer as they should; None if there is no such list."""
        ...

    def cache_stats(self) -> Mapping[str, float]:
        """Figures of the caches."""
        ...

    def cache_show(self, name: Name, rtype: int | None) -> Sequence[CacheEntry]:
        """What the cache holds of a name, of one type or of all."""
        ...

    def cache_flush(self, name: Name | None, rtype: int | None) -> int:
        """Forget a name's entries, of one type or of all; everything if `name` is None. Returns how many there were."""
        ...

    async def greylist_find(self, wanted: RecordFilter, start: Cursor | None, limit: int) -> RecordPage:
        """What greylisting remembers of those sought. Raises StoreError."""
        ...

    async def greylist_allow(self, client: Address, sender: str | None, recipient: str | None) -> GreylistRecord:
        """Let a client, or with sender and recipient a triplet, through. Raises AllowsNobody, StoreError."""
        ...

    async def greylist_forget(self, wanted: RecordFilter) -> int:
        """Forget those sought; how many records those were. Raises StoreError."""
        ...

    def overrides(self, subject: str | None) -> Sequence[OverrideView]:
        """The overrides in force, of one subject (canonical text) or of all."""
        ...

    async def override(self, wish: NewOverride) -> Override:
        """Put an override in force. Raises Full, StoreError."""
        ...

    async def forget_overrides(self, keys: Sequence[Key], owner: str) -> int:
        """Take overrides back, on the word of `owner`; how many there were. Raises StoreError."""
        ...

    async def store_read(self, start: tuple[str, bytes] | None, count: int) -> dump.Page:
        """Records of the store in order of table and key. Raises StoreError."""
        ...

    async def store_load(self, records: Sequence[Stored]) -> Loaded:
        """Take records into the store. Raises StoreError."""
        ...

    async def trace(self, name: Name, rtype: int) -> Trace:
        """Resolve a name past all caches, and tell each exchange. Nothing is remembered but how the servers fare."""
        ...

    async def reload(self) -> Sequence[ConfigFault]:
        """Read the configuration again; with faults the old one stays."""
        ...

    def ready(self) -> Readiness:
        """Whether names can be resolved at the moment."""
        ...

    def tasks(self) -> Mapping[str, TaskState]:
        """The daemon's tasks, by name."""
        ...

    def gauges(self) -> Sequence[Gauge]:
        """Measured values for /metrics."""
        ...
