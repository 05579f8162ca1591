"""What lists have answered, kept over a restart: nobody pays for it from a quota again.

A reply stands under the list's id and what comes before its zone in the name, never under the name itself, which has the key of a
keyed list in it. It ends when it would have ended. What a list could not say, and how it fares, is found out anew.
"""

from collections.abc import Callable, Mapping
from hashlib import blake2b

import msgspec

from resolverd import bounds
from resolverd.dnsbl.cache import CachedResponse, QueryKey, ResponseCache
from resolverd.dnsbl.list_state import ListState
from resolverd.dnsbl.response import Behaviour, ListResponse
from resolverd.dnsbl.spec import ListSpec
from resolverd.mail.lookups import Clear, Listed
from resolverd.resolver.persist.tables import Change, Read, Times
from resolverd.wire import codes
from resolverd.wire.names import Name, ancestors, lower

_TYPE = 2
_READING = 8


class _Listed(msgspec.Struct, array_like=True, frozen=True, gc=False):
    codes: tuple[str, ...]
    addresses: tuple[str, ...]
    weight: float
    reason: str
    link: str
    ttl: int
    trust: int


class _Reply(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """`reading`: of how the list's answers were read."""

    reading: bytes
    since: float
    until: float
    reverified: bool
    listed: _Listed | None
    addresses: tuple[bytes, ...]
    behaviour: Behaviour
    ttl: int
    unknown_codes: tuple[bytes, ...]


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Reply)


class ListTable:
    """The replies of lists, as `resolver.persist.tables.Table`."""

    kind = b"l"
    turn = 50

    def __init__(self, cache: ResponseCache, states: Callable[[], Mapping[str, ListState]]):
        """`states`: of all lists that are known, by id."""
        self._cache = cache
        self._states = states
        self._writing: set[QueryKey] = set()
        self._zones: dict[Name, ListSpec] = {}
        self._readings: dict[str, tuple[ListSpec, bytes]] = {}
        self._clearing = False

    def begin(self, read: Read | None, times: Callable[[], Times]) -> None:
        """From now on what changes is noted. All of them are read at once, so that nothing is looked for later."""
        self._cache.changed = set(self._cache.questions())

    def end_reading(self) -> None:
        """There is nothing to be ended."""

    @property
    def pending(self) -> int:
        """How many changes wait to be written."""
        return len(self._cache.changed or ()) + self._cache.too_much_changed

    @property
    def must_clear(self) -> bool:
        """Whether everything on disk has to go before anything else is written."""
        return self._cache.too_much_changed

    def prefixes(self) -> list[bytes]:
        """None: replies are deleted one by one."""
        self._clearing, self._cache.too_much_changed = self._cache.too_much_changed, False
        self._zones = {lower(state.spec.zone): state.spec for state in self._states().values()}
        return []

    def take(self, count: int, times: Times) -> list[Change]:
        """So many changes, to be written now."""
        changed = self._cache.changed
        changes: list[Change] = []
        while changed and len(changes) < count:
            question = changed.pop()
            self._writing.add(question)
            spec = self._list_of(question)
            if spec is not None:
                name, rtype = question
                prefix = name[: len(name) - len(spec.zone)]
                key = self.kind + spec.id.encode() + b"\0" + rtype.to_bytes(_TYPE, "big") + prefix
                changes.append((key, self._encoded(question, spec, times)))
        return changes

    def settle(self, *, written: bool, cleared: bool) -> None:
        """What was taken stands on disk, or does not. `cleared`: everything else is gone from there."""
        changed = self._cache.changed
        if changed is not None and cleared and written:
            changed.update(each for each in self._cache.questions() if each not in self._writing)
        elif changed is not None and not written:
            changed |= self._writing
            self._cache.too_much_changed |= self._clearing
        self._writing.clear()

    def adopt(self, key: bytes, value: bytes, times: Times) -> bool:
        """Take up a reply that still lives and would be read the same way now; False where there is no room for more."""
        name, _, rest = key[1:].partition(b"\0")
        state = self._states().get(name.decode("ascii", "replace"))
        if state is None or len(rest) <= _TYPE:
            return True
        try:
            held = _decoder.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return True
        since, until = held.since - times.offset, held.until - times.offset
        if held.reading != self._reading(state.spec) or not since <= times.now < until <= since + bounds.CACHE_ROW_LIFETIME:
            return True
        spec, listed = state.spec, held.listed
        reply = Clear(spec.id, held.ttl) if listed is None else _as_reply(spec, listed)
        response = ListResponse(reply, held.addresses, held.behaviour, held.ttl, held.unknown_codes)
        question = rest[_TYPE:] + spec.zone, int.from_bytes(rest[:_TYPE], "big")
        return self._cache.adopt(question, CachedResponse(response, since, until, held.reverified))

    def _list_of(self, question: QueryKey) -> ListSpec | None:
        name = lower(question[0])
        return next((self._zones[zone] for zone in ancestors(name)[1:] if zone in self._zones), None)

    def _encoded(self, question: QueryKey, spec: ListSpec, times: Times) -> bytes | None:
        cached = self._cache.peek(question)
        if cached is None:
            return None
        response = cached.response
        reply = response.reply
        if cached.seen_by and isinstance(reply, Listed):
            return None  # on whose word it stands would be forgotten
        # A TXT is a list's own word on a listing; else what proves nothing is a failure, or the answer to a test.
        if response.behaviour is not Behaviour.SOUND and question[1] != codes.TXT:
            return None
        if not isinstance(reply, Listed | Clear):
            return None
        listed = None
        if isinstance(reply, Listed):
            listed = _Listed(reply.codes, reply.addresses, reply.weight, reply.reason, reply.link, reply.ttl, reply.trust)
        since, until = cached.since + times.offset, cached.until + times.offset
        reading = self._reading(spec)
        return _encode(
            _Reply(
                reading,
                since,
                until,
                cached.reverified,
                listed,
                response.addresses,
                response.behaviour,
                response.ttl,
                response.unknown_codes,
            )
        )

    def _reading(self, spec: ListSpec) -> bytes:
        """A digest of how a list's answers are read; its key has no part in that."""
        known = self._readings.get(spec.id)
        if known is None or known[0] is not spec:
            shape = (
                spec.shown, sorted(spec.kinds), spec.purpose, spec.weight, spec.codes, spec.link, spec.keyed,
                spec.registered_domain, spec.min_ttl, spec.max_ttl, spec.negative_max_ttl,
            )  # fmt: skip
            known = self._readings[spec.id] = spec, blake2b(repr(shape).encode(), digest_size=_READING).digest()
        return known[1]


def _as_reply(spec: ListSpec, listed: _Listed) -> Listed:
    return Listed(
        spec.id, listed.codes, listed.addresses, listed.weight, listed.reason, listed.link, listed.ttl, trust=listed.trust
    )
