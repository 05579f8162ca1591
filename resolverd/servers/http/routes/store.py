"""The store as a whole, for backup and for moving."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from resolverd import __version__
from resolverd.failures import StoreError
from resolverd.overrides.store import TABLE as OVERRIDES
from resolverd.servers.http.dump_format import FORMAT, BadLine, StoreRecord
from resolverd.servers.http.parameters import Text
from resolverd.servers.http.problems import Problem, store_failed
from resolverd.servers.http.route import Body, Call, Route
from resolverd.state import dump

PAGE: Final = 1000
"""Records of the store in one page, at the most."""
_Limit = Annotated[int, Meta(ge=1, le=PAGE, description=f"a number from 1 to {PAGE}")]


class StoreStart(msgspec.Struct):
    """Where to go on: what stood as `next` on the page before. `limit`: records of a page. `own`: of what is this host's own, its
    copies of what it shares among it, where it shares a server with others; of two stores that are one it makes no difference."""

    start: Text = ""
    limit: _Limit = PAGE
    own: bool = False


class StorePage(msgspec.Struct):
    """A page of records, headed as a dump is; `next` is null at the end."""

    resolverd: str
    store: int
    records: list[StoreRecord]
    next: str | None


class StoreRecords(msgspec.Struct):
    """Records to be taken into the store."""

    records: list[StoreRecord]


class StoreLoaded(msgspec.Struct):
    """What became of them: taken, or not, as one that lives longer was there (`kept`) or they have expired."""

    taken: int
    kept: int
    expired: int


async def get_store(call: Call, given: StoreStart) -> StorePage:
    """The records of the store, page by page."""
    start = None
    if given.start:
        table, _, key = given.start.partition(":")
        try:
            start = (table, bytes.fromhex(key))
        except ValueError:
            raise Problem(400, "start: expected what stood as next on the page before") from None
    store = (call.daemon.own_store if given.own else None) or call.daemon.store
    try:
        page = await dump.read(store, call.daemon.clock.wall(), start, given.limit)
    except StoreError as error:
        raise store_failed(error) from None
    following = f"{page.next[0]}:{page.next[1].hex()}" if page.next else None
    return StorePage(__version__, FORMAT, [StoreRecord.of(each) for each in page.records], following)


async def load_store(call: Call, given: StoreRecords) -> StoreLoaded:
    """Take records into the store, all that are given or none; of two, the one that lives longer stays."""
    daemon = call.daemon
    try:
        records = [each.stored for each in given.records]
    except BadLine as error:
        raise Problem(400, f"no records of a store: {error}") from None
    try:
        loaded = await dump.load(daemon.store, daemon.clock.wall(), records)
    except StoreError as error:
        raise store_failed(error) from None
    if any(record.table == OVERRIDES for record in records):
        await daemon.overrides.load()
    return StoreLoaded(*loaded)


ROUTES = (
    Route("GET", "/v1/store", get_store, problems=(503,)),
    Route("POST", "/v1/store", load_store, body=Body.ONLY, problems=(503,)),
)
