"""The HTTP calls about what is kept: the greylist, looked into and edited, and the store as a whole."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

from resolverd import __version__
from resolverd.failures import StoreError
from resolverd.greylist.admin import MAX_SHOWN, AllowsNobody, Cursor, RecordFilter
from resolverd.servers.http import dump_format
from resolverd.servers.http.problems import Problem, bad_attributes
from resolverd.servers.policy.protocol import address_of
from resolverd.servers.ports import Backend

if TYPE_CHECKING:
    from resolverd.servers.http.api import Api

STORE_PAGE: Final = 1000
"""Records of the store told at once."""
_LONGEST: Final = 1024

Path = Mapping[str, str]


async def get_greylist(api: "Api", request: web.BaseRequest, path: Path) -> dict[str, Any]:
    """What greylisting remembers: of a client, a sender, a recipient, or of everybody, page by page."""
    wanted, query = _sought(request, path, "start", "limit")
    return await greylist_json(api.backend, wanted, query.get("start", ""), query.get("limit", "100"))


async def greylist_json(backend: Backend, wanted: RecordFilter, start: str, limit: str) -> dict[str, Any]:
    """A page of what greylisting remembers. Raises Problem."""
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= MAX_SHOWN):
        raise Problem(400, f"limit: expected a whole number from 1 to {MAX_SHOWN}")
    try:
        place = Cursor.read(start) if start else None
    except ValueError:
        raise Problem(400, "start: expected what stood as next on the page before") from None
    try:
        page = await backend.greylist_find(wanted, place, int(limit))
    except StoreError as error:
        raise _failed(error) from None
    return {"records": [record._asdict() for record in page.records], "next": str(page.next) if page.next else None}


async def allow_in_greylist(api: "Api", request: web.BaseRequest, path: Path) -> dict[str, Any]:
    """Let a client through from now on, or one triplet, as if it had waited."""
    wanted, _ = _sought(request, path)
    if wanted.client is None or (wanted.sender is None) != (wanted.recipient is None):
        raise Problem(400, "a client is let through as a whole, or with sender and recipient")
    try:
        record = await api.backend.greylist_allow(wanted.client, wanted.sender, wanted.recipient)
    except AllowsNobody:
        raise Problem(409, "greylist.auto_allow_after is 0, so no client is let through as a whole: use an allow file") from None
    except StoreError as error:
        raise _failed(error) from None
    return record._asdict()


async def forget_in_greylist(api: "Api", request: web.BaseRequest, path: Path) -> dict[str, Any]:
    """Forget a client and the triplets of its network, or those of a sender or a recipient."""
    wanted, _ = _sought(request, path)
    if wanted == RecordFilter():
        raise Problem(400, "say what to forget: a client, a sender, a recipient")
    try:
        return {"forgotten": await api.backend.greylist_forget(wanted)}
    except StoreError as error:
        raise _failed(error) from None


async def get_store(api: "Api", request: web.BaseRequest, _path: Path) -> dict[str, Any]:
    """The records of the store, page by page."""
    query = _query(request, ("start",))
    start = None
    if "start" in query:
        table, _, key = query["start"].partition(":")
        try:
            start = (table, bytes.fromhex(key))
        except ValueError:
            raise Problem(400, "start: expected what stood as next on the page before") from None
    try:
        part = await api.backend.store_read(start, STORE_PAGE)
    except StoreError as error:
        raise _failed(error) from None
    following = f"{part.next[0]}:{part.next[1].hex()}" if part.next else None
    records = [dump_format.record_json(record) for record in part.records]
    return {**dump_format.headline(__version__), "records": records, "next": following}


async def load_store(api: "Api", request: web.BaseRequest, _path: Path) -> dict[str, Any]:
    """Take records into the store, all that are given or none; of two, the one that lives longer stays."""
    if request.content_type != "application/json":
        raise Problem(415, "expected Content-Type: application/json")
    try:
        given = msgspec.json.decode(await request.read(), type=dict[str, list[Any]])["records"]
        records = [dump_format.record_from(each) for each in given]
    except KeyError:
        raise Problem(400, "records is missing") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, dump_format.BadLine) as error:
        raise Problem(400, f"no records of a store: {error}") from None
    try:
        return (await api.backend.store_load(records))._asdict()
    except StoreError as error:
        raise _failed(error) from None


def _sought(request: web.BaseRequest, path: Path, *more: str) -> tuple[RecordFilter, dict[str, str]]:
    """Whom a request means, and the further parameters that it may have. Raises Problem."""
    named = () if "client_address" in path else ("client_address",)
    query = _query(request, (*named, "sender", "recipient", *more))
    given = path.get("client_address", query.get("client_address"))
    client = address_of(given) if given is not None else None
    if given is not None and client is None:
        raise bad_attributes([("client_address", "expected an IPv4 or IPv6 address")])
    return RecordFilter(client, query.get("sender"), query.get("recipient")), query


def _query(request: web.BaseRequest, known: tuple[str, ...]) -> dict[str, str]:
    query = request.rel_url.query
    faults = [(name[:40], "no such parameter") for name in query if name not in known]
    faults += [(name, "given twice") for name in known if len(query.getall(name, [])) > 1]
    faults += [(name, "too long") for name in known if len(query.get(name, "")) > _LONGEST]
    if faults:
        raise bad_attributes(faults)
    return {name: value.removeprefix("<").removesuffix(">") for name, value in query.items()}


def _failed(error: StoreError) -> Problem:
    return Problem(503, f"the store: {error}")
