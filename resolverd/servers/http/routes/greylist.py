"""The greylist, looked into and edited."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from resolverd.failures import StoreError
from resolverd.greylist import admin
from resolverd.greylist.admin import MAX_SHOWN, AllowsNobody, Cursor, RecordFilter
from resolverd.servers.http.parameters import AddressParameter, Text
from resolverd.servers.http.problems import Problem, store_failed
from resolverd.servers.http.route import Body, Call, Route
from resolverd.servers.policy.protocol import address_of


class GreylistFilter(msgspec.Struct, kw_only=True):
    """Which records are meant: those of a client and its network, of a sender, of a recipient; all that is given."""

    client_address: AddressParameter | None = None
    sender: Text | None = None
    recipient: Text | None = None

    @property
    def records(self) -> RecordFilter:
        """The filter."""
        client = None if self.client_address is None else address_of(self.client_address)
        return RecordFilter(client, _bare(self.sender), _bare(self.recipient))


class GreylistPart(GreylistFilter, kw_only=True):
    """The same, piece by piece: `start` is what stood as `next` in the answer before."""

    start: Text = ""

    @property
    def cursor(self) -> Cursor | None:
        """Where to begin. Raises Problem."""
        try:
            return Cursor.read(self.start) if self.start else None
        except ValueError:
            raise Problem(400, "start: expected what stood as next in the answer before") from None


class GreylistQuestion(GreylistPart, kw_only=True):
    """The same, and how many at once."""

    limit: Annotated[int, Meta(ge=1, le=MAX_SHOWN, description=f"a whole number from 1 to {MAX_SHOWN}")] = 100


class GreylistTriplet(msgspec.Struct, kw_only=True):
    """A triplet, as the greylist shows it. `origin`: the network or organisation that it comes from."""

    origin: Text
    sender: Text
    recipient: Text


class GreylistRecord(msgspec.Struct):
    """One record; wall seconds, `first` null where it is not kept."""

    kind: Literal["client", "sender", "triplet"]
    origin: str
    sender: str | None
    recipient: str | None
    state: Literal["waiting", "passed", "counting", "allowed"]
    passes: int | None
    first: int | None
    last: int
    expires: int


class GreylistRecords(msgspec.Struct):
    """A page of records; `next` is null at the end. `partial`: the store that hosts share is out of reach, and these are records
    that this host has met."""

    records: list[GreylistRecord]
    next: str | None
    partial: bool


class Forgotten(msgspec.Struct):
    """How many records those were."""

    forgotten: int


class ForgottenRecords(Forgotten):
    """How many of them were forgotten as yet; `next` is null at the end. `partial`: the store that hosts share is out of reach,
    and only records that this host has met were looked at."""

    next: str | None
    partial: bool


async def get_greylist(call: Call, given: GreylistQuestion) -> GreylistRecords:
    """What greylisting remembers: of a client, a sender, a recipient, or of everybody, page by page."""
    start = given.cursor
    try:
        page = await call.daemon.greylist.find(given.records, start=start, limit=given.limit)
    except StoreError as error:
        raise store_failed(error) from None
    return GreylistRecords([_record(each) for each in page.records], str(page.next) if page.next else None, page.partial)


async def allow_in_greylist(call: Call, given: GreylistFilter) -> GreylistRecord:
    """Let a client through from now on, or one triplet, as if it had waited."""
    wanted = given.records
    if wanted.client is None or (wanted.sender is None) != (wanted.recipient is None):
        raise Problem(400, "a client is let through as a whole, or with sender and recipient")
    try:
        return _record(await call.daemon.greylist.allow(wanted.client, wanted.sender, wanted.recipient))
    except AllowsNobody:
        raise Problem(409, "greylist.auto_allow_after is 0, so no client is let through as a whole: use an allow file") from None
    except StoreError as error:
        raise store_failed(error) from None


async def release_from_greylist(call: Call, given: GreylistTriplet) -> GreylistRecord:
    """Let a triplet through that waits, as if it had waited long enough."""
    try:
        released = await call.daemon.greylist.release(given.origin, _bare(given.sender) or "", _bare(given.recipient) or "")
    except StoreError as error:
        raise store_failed(error) from None
    if released is None:
        raise Problem(404, "the greylist has no such triplet, or not any more")
    return _record(released)


async def forget_in_greylist(call: Call, given: GreylistPart) -> ForgottenRecords:
    """Forget a client and the triplets of its network, or those of a sender or a recipient; of many some at a time."""
    start = given.cursor
    if given.records == RecordFilter():
        raise Problem(400, "say what to forget: a client, a sender, a recipient")
    try:
        gone = await call.daemon.greylist.forget(given.records, start=start)
    except StoreError as error:
        raise store_failed(error) from None
    return ForgottenRecords(gone.records, str(gone.next) if gone.next else None, gone.partial)


def _record(record: admin.GreylistRecord) -> GreylistRecord:
    return GreylistRecord(**record._asdict())


def _bare(address: str | None) -> str | None:
    return None if address is None else address.removeprefix("<").removesuffix(">")


ROUTES = (
    Route("GET", "/v1/greylist", get_greylist, problems=(503,)),
    Route("PUT", "/v1/greylist", release_from_greylist, body=Body.ALSO, problems=(404, 503)),
    Route("DELETE", "/v1/greylist", forget_in_greylist, problems=(503,)),
    Route("GET", "/v1/greylist/{client_address}", get_greylist, problems=(503,)),
    Route("PUT", "/v1/greylist/{client_address}", allow_in_greylist, problems=(409, 503)),
    Route("DELETE", "/v1/greylist/{client_address}", forget_in_greylist, problems=(503,)),
)
