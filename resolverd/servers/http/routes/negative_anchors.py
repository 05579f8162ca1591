"""Negative trust anchors: names below which nothing is validated for a while, as their owner has broken DNSSEC (RFC 7646)."""

import math
from typing import Annotated

import msgspec
from msgspec import Meta

from resolverd import bounds
from resolverd.durations import seconds_of
from resolverd.failures import StoreError
from resolverd.resolver.negative_anchors import Full
from resolverd.resolver.validator.nta import NegativeAnchor
from resolverd.servers.http.auth import caller
from resolverd.servers.http.problems import Problem, store_failed
from resolverd.servers.http.route import Body, Call, Route
from resolverd.wire import names
from resolverd.wire.names import Name, to_text


class Negative(msgspec.Struct):
    """A negative trust anchor; wall seconds, null for one of the configuration, which has no end."""

    name: str
    reason: str | None
    owner: str | None
    since: int | None
    until: int | None
    configured: bool

    @classmethod
    def of(cls, anchor: NegativeAnchor) -> "Negative":
        """As JSON has it."""
        return cls(
            to_text(anchor.zone), anchor.reason or None, anchor.owner or None, anchor.since, anchor.until, configured=False
        )


class Negatives(msgspec.Struct):
    """Those in force."""

    negative_trust_anchors: list[Negative]


class NewNegative(msgspec.Struct, kw_only=True):
    """For how long, who says so, and why. The root's name is written ``@``."""

    name: str
    lasting: Annotated[str, Meta(examples=["1h", "7d"])] = msgspec.field(name="for", default="")
    reason: str = ""
    owner: str = ""


class TakenBack(msgspec.Struct, kw_only=True):
    """Which one, and who says so."""

    name: str
    owner: str = ""


class Removed(msgspec.Struct):
    """It is in force no more."""

    removed: bool


async def get_negatives(call: Call) -> Negatives:
    """The negative trust anchors in force."""
    found = [Negative.of(each) for each in call.daemon.negative_anchors.in_force()]
    by_hand = {each.name for each in found}
    trust = call.daemon.resolver.trust
    others = [each for each in map(to_text, trust.negative if trust is not None else ()) if each not in by_hand]
    return Negatives([*found, *(Negative(each, None, None, None, None, configured=True) for each in sorted(others))])


async def put_negative(call: Call, given: NewNegative) -> Negative:
    """Validate nothing at and below a name, for an hour unless said otherwise, for a week at most."""
    zone, owner, reason = _zone(given.name), _note("owner", given.owner), _note("reason", given.reason)
    try:
        made = await call.daemon.negative_anchors.set(zone, _lasting(given.lasting), owner or caller(call.request), reason)
    except Full:
        raise Problem(507, "there are as many negative trust anchors as may be; remove some") from None
    except StoreError as error:
        raise store_failed(error) from None
    return Negative.of(made)


async def remove_negative(call: Call, given: TakenBack) -> Removed:
    """Validate again at and below a name."""
    zone, owner = _zone(given.name), _note("owner", given.owner)
    try:
        removed = await call.daemon.negative_anchors.remove(zone, owner or caller(call.request))
    except StoreError as error:
        raise store_failed(error) from None
    if not removed:
        trust = call.daemon.resolver.trust
        if trust is not None and zone in trust.negative:
            raise Problem(409, "it stands in the configuration (resolver.negative_trust_anchors), and has to be removed there")
        raise Problem(404, "there is no negative trust anchor at this name; GET /v1/negative-trust-anchors tells where there are")
    return Removed(removed=True)


def _zone(text: str) -> Name:
    try:
        return names.lower(names.from_text("." if text == "@" else text))
    except names.BadName as error:
        raise Problem(400, f"{text[:100]!r} is no domain name: {error}") from None


def _note(what: str, text: str) -> str:
    text = text.strip()
    if len(text) > bounds.NOTE or not text.isprintable():
        raise Problem(400, f"{what}: expected at most {bounds.NOTE} printable characters")
    return text


def _lasting(text: str) -> int:
    try:
        seconds = math.ceil(seconds_of(text)) if text else bounds.NTA_LIFETIME
    except ValueError as error:
        raise Problem(400, f"for: {error}") from None
    if not 0 < seconds <= bounds.MAX_NTA_LIFETIME:
        days = bounds.MAX_NTA_LIFETIME // 86400
        raise Problem(400, f"for: expected at most {days}d; what is to last stands in resolver.negative_trust_anchors")
    return seconds


ROUTES = (
    Route("GET", "/v1/negative-trust-anchors", get_negatives),
    Route("PUT", "/v1/negative-trust-anchors/{name}", put_negative, body=Body.ALSO, problems=(503, 507)),
    Route("DELETE", "/v1/negative-trust-anchors/{name}", remove_negative, body=Body.ALSO, problems=(404, 409, 503)),
)
