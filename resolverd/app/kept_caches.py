"""The caches that are kept over a restart, put together: which, where, and under what they are true."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path

from resolverd.app.runtime import Shared
from resolverd.clock import Clock
from resolverd.config import Settings
from resolverd.dnsbl.kept import ListTable
from resolverd.metrics import Counters
from resolverd.resolver.persist.persistence import Persistence
from resolverd.resolver.persist.tables import DelegationTable, RRsetTable, ServerTable
from resolverd.state.disk.cache_file import CacheFolder
from resolverd.wire.names import Name


def persistence(directory: Path, settings: Settings, shared: Shared, clock: Clock, counters: Counters) -> Persistence:
    """What keeps the caches in the state directory. The file takes as much room as the cache may in memory, at most."""
    resolution, lists = shared.resolution, shared.lists

    def is_private(name: Name) -> bool:
        return resolution.redactor.is_private(name)

    def forget() -> None:
        lists.dispatcher.forget_all()
        resolution.flush()

    return Persistence(
        CacheFolder(directory, settings.cache.size),
        (
            RRsetTable(lambda: resolution.rrsets, lambda: resolution.stale, is_private),
            DelegationTable(lambda: resolution.delegations, is_private),
            ListTable(lists.dispatcher.responses, lambda: lists.states),
        ),
        ServerTable(resolution.infra),
        ListTable.kind,
        clock,
        counters,
        lambda: blake2b(_text(resolution.rests_on).encode(), digest_size=16).digest(),
        forget,
        resolution.sweep,
    )


def _text(value: object) -> str:
    """The same text for the same value in every process: the order of sets is another in each."""
    if isinstance(value, Mapping):
        return _in_order(f"{_text(key)}: {_text(each)}" for key, each in value.items())
    if isinstance(value, set | frozenset):
        return _in_order(map(_text, value))
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return f"[{', '.join(map(_text, value))}]"
    return repr(value)


def _in_order(texts: Iterable[str]) -> str:
    return f"{{{', '.join(sorted(texts))}}}"
