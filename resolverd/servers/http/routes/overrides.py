"""Overrides: clients and senders allowed and denied by hand."""

import math
import re
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from resolverd.durations import seconds_of
from resolverd.failures import StoreError
from resolverd.overrides.rules import (
    ACTIONS,
    SCOPES,
    BadOverride,
    Override,
    OverrideKey,
    key_of,
    note_of,
    recipient_of,
    subject_of,
    too_wide,
)
from resolverd.overrides.store import Full, NewOverride
from resolverd.servers.http.auth import caller
from resolverd.servers.http.problems import Problem, store_failed
from resolverd.servers.http.route import Body, Call, Route
from resolverd.servers.http.routes.greylist import Forgotten


def _one_of(*values: str) -> Meta:
    return Meta(
        description=" or ".join(values), extra={"valid": values.__contains__}, extra_json_schema={"enum": list(values)}
    )


_Action = Annotated[str, _one_of(*ACTIONS)]
_Scope = Annotated[str, _one_of(*SCOPES)]

_ENDLESS: Final = re.compile(r"-[0-9]+(\.[0-9]+)?s?")


class OverrideRequest(msgspec.Struct, kw_only=True):
    """What to allow or deny; all of it may stand in the query or in the body. Without a subject, the client of the verdict
    `from_id` is meant. `force`: though it reaches everybody's domains, or a very large network."""

    action: _Action
    subject: str = ""
    scope: _Scope | None = None
    to: str = ""
    lasting: Annotated[str, Meta(examples=["1h", "30d", "-1s"])] = msgspec.field(name="for", default="")
    temporary: bool = False
    force: bool = False
    reason: str = ""
    owner: str = ""
    from_id: str = ""


class OverrideFilter(msgspec.Struct, kw_only=True):
    """Which overrides of a subject are meant (`of`: those of this owner), and who says so."""

    subject: str
    action: str | None = None
    scope: str | None = None
    to: str | None = None
    of: str | None = None
    owner: str = ""


class Subject(msgspec.Struct):
    """Whom the overrides are about."""

    subject: str


class EveryOverride(msgspec.Struct):
    """Nothing to be chosen."""


class OverrideInForce(msgspec.Struct):
    """An override; wall seconds, `until` null for one without end. `overruled`: another one counts in its place."""

    action: _Action
    subject: str
    kind: Literal["address", "network", "domain", "sender"]
    scope: _Scope
    to: str | None
    temporary: bool
    owner: str
    reason: str | None
    from_id: str | None
    since: int
    until: int | None
    hits: int
    last: int | None
    overruled: bool | UnsetType = UNSET

    @classmethod
    def of(cls, override: Override, overruled: bool | UnsetType = UNSET) -> "OverrideInForce":
        """As JSON has it."""
        key = override.key
        return cls(
            action=key.action,
            subject=key.subject,
            kind=override.kind.value,
            scope=key.scope,
            to=key.recipient or None,
            temporary=key.temporary,
            owner=override.owner,
            reason=override.reason or None,
            from_id=override.from_id or None,
            since=override.since,
            until=override.until or None,
            hits=override.hits,
            last=override.last or None,
            overruled=overruled,
        )


class Overrides(msgspec.Struct):
    """Those in force."""

    overrides: list[OverrideInForce]


async def get_overrides(call: Call, given: EveryOverride) -> Overrides:
    """The overrides in force."""
    return _in_force(call, None)


async def get_overrides_of(call: Call, given: Subject) -> Overrides:
    """The overrides in force of a subject."""
    return _in_force(call, _subject(given.subject))


async def put_override(call: Call, given: OverrideRequest) -> OverrideInForce:
    """Allow or deny: an address, a network, a domain, a sender; or the client of a verdict (from_id)."""
    try:
        owner, reason, from_id = (note_of(name, getattr(given, name)) for name in ("owner", "reason", "from_id"))
        subject = given.subject
        if not subject and from_id:
            subject = await _client_of(call, from_id)
        key = key_of(given.action, subject, given.scope or "", given.to, temporary=given.temporary)
        lasting = _lasting(given.lasting)
        if not given.force and (why := too_wide(key.subject)):
            raise BadOverride(f"{why}; if that is meant, say so with --force (force=true)")
    except BadOverride as error:
        raise Problem(400, str(error)) from None
    try:
        new = NewOverride(key, lasting, owner or caller(call.request), reason, from_id)
        return OverrideInForce.of(await call.daemon.overrides.set(new))
    except Full:
        raise Problem(507, "there are as many overrides as may be; forget some, or let them end (for)") from None
    except StoreError as error:
        raise store_failed(error) from None


async def forget_overrides(call: Call, given: OverrideFilter) -> Forgotten:
    """Take the overrides of a subject back, or those of an action, a scope, a recipient, an owner."""
    try:
        to = None if given.to is None else recipient_of(given.to)
        owner = note_of("owner", given.owner)
    except BadOverride as error:
        raise Problem(400, str(error)) from None
    found = [each.override for each in call.daemon.overrides.views(_subject(given.subject))]
    keys = [each.key for each in found if given.of in (None, each.owner) and _is_meant(each.key, given.action, given.scope, to)]
    try:
        return Forgotten(await call.daemon.overrides.forget(keys, owner or caller(call.request)))
    except StoreError as error:
        raise store_failed(error) from None


def _in_force(call: Call, subject: str | None) -> Overrides:
    return Overrides([OverrideInForce.of(each.override, each.overruled) for each in call.daemon.overrides.views(subject)])


def _is_meant(key: OverrideKey, action: str | None, scope: str | None, to: str | None) -> bool:
    return action in (None, key.action) and scope in (None, key.scope) and to in (None, key.recipient)


def _subject(text: str) -> str:
    try:
        return subject_of(text)
    except BadOverride as error:
        raise Problem(400, str(error)) from None


async def _client_of(call: Call, reference: str) -> str:
    try:
        verdict = await call.daemon.verdicts.get(reference)
    except StoreError as error:
        raise store_failed(error) from None
    if verdict is None or verdict.client is None:
        raise Problem(404, "no verdict with this id, or not any more: say who is meant")
    return str(verdict.client)


def _lasting(text: str) -> int | None:
    """Seconds, or None for no end: nothing given, or less than nothing, as fail2ban says it (``bantime = -1``)."""
    if not text or _ENDLESS.fullmatch(text):
        return None
    try:
        return max(1, math.ceil(seconds_of(text)))
    except ValueError as error:
        raise BadOverride(f"for: {error}") from None


ROUTES = (
    Route("GET", "/v1/overrides", get_overrides),
    Route("PUT", "/v1/overrides", put_override, body=Body.ALSO, problems=(404, 503, 507)),
    Route("GET", "/v1/overrides/{subject}", get_overrides_of),
    Route("PUT", "/v1/overrides/{subject}", put_override, body=Body.ALSO, problems=(404, 503, 507)),
    Route("DELETE", "/v1/overrides/{subject}", forget_overrides, body=Body.ALSO, problems=(503,)),
)
