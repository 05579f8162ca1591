"""The HTTP calls about overrides: the admin's own word on a client or a sender."""

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

from resolverd.durations import seconds_of
from resolverd.failures import StoreError
from resolverd.overrides.rules import BadOverride, Key, Override, key_of, note_of, recipient_of, subject_of, too_wide
from resolverd.overrides.store import Full, NewOverride, OverrideView
from resolverd.servers.http.auth import caller
from resolverd.servers.http.problems import Problem, bad_attributes

if TYPE_CHECKING:
    from resolverd.servers.http.api import Api

SETTING: Final = ("action", "subject", "scope", "to", "for", "temporary", "force", "reason", "owner", "from_id")
"""Parameters of an override, in the query or as members of a JSON object in the body."""
TAKING_BACK: Final = ("action", "scope", "to", "of", "owner")
"""Parameters that tell which overrides of a subject are meant (`of`: those of this owner), and who says so."""

_ENDLESS: Final = re.compile(r"-[0-9]+(\.[0-9]+)?s?")
_FLAGS: Final = {"": False, "false": False, "true": True}

Path = Mapping[str, str]


async def get_overrides(api: "Api", request: web.BaseRequest, path: Path) -> dict[str, Any]:
    """The overrides in force: of a subject, or all of them."""
    await _parameters(request, path, ())
    subject = _subject(path) if "subject" in path else None
    return {"overrides": [shown_json(each) for each in api.backend.overrides(subject)]}


async def put_override(api: "Api", request: web.BaseRequest, path: Path) -> dict[str, Any]:
    """Allow or deny: an address, a network, a domain, a sender; or the client of a verdict (from_id)."""
    given = await _parameters(request, path, SETTING)
    try:
        owner, reason, from_id = (note_of(name, given.get(name, "")) for name in ("owner", "reason", "from_id"))
        subject = given.get("subject", "")
        if not subject and from_id:
            subject = await _client_of(api, from_id)
        temporary, force = _flag("temporary", given), _flag("force", given)
        key = key_of(given.get("action", ""), subject, given.get("scope", ""), given.get("to", ""), temporary=temporary)
        lasting = _lasting(given.get("for", ""))
        if not force and (why := too_wide(key.subject)):
            raise BadOverride(f"{why}; if that is meant, say so with --force (force=true)")
    except BadOverride as error:
        raise Problem(400, str(error)) from None
    wish = NewOverride(key, lasting, owner or caller(request), reason, from_id)
    try:
        return override_json(await api.backend.override(wish))
    except Full:
        raise Problem(507, "there are as many overrides as may be; forget some, or let them end (for)") from None
    except StoreError as error:
        raise Problem(503, f"the store: {error}") from None


async def forget_overrides(api: "Api", request: web.BaseRequest, path: Path) -> dict[str, Any]:
    """Take the overrides of a subject back, or those of an action, a scope, a recipient, an owner."""
    given = await _parameters(request, path, TAKING_BACK)
    try:
        to = recipient_of(given["to"]) if "to" in given else None
        owner = note_of("owner", given.get("owner", ""))
    except BadOverride as error:
        raise Problem(400, str(error)) from None
    found = [each.override for each in api.backend.overrides(_subject(path)) if given.get("of") in (None, each.override.owner)]
    keys = [each.key for each in found if _is_meant(each.key, given.get("action"), given.get("scope"), to)]
    try:
        return {"forgotten": await api.backend.forget_overrides(keys, owner or caller(request))}
    except StoreError as error:
        raise Problem(503, f"the store: {error}") from None


def override_json(override: Override) -> dict[str, Any]:
    """An override; ``until`` is null for one without end."""
    key = override.key
    return {
        "action": key.action,
        "subject": key.subject,
        "kind": override.kind.value,
        "scope": key.scope,
        "to": key.recipient or None,
        "temporary": key.temporary,
        "owner": override.owner,
        "reason": override.reason or None,
        "from_id": override.from_id or None,
        "since": override.since,
        "until": override.until or None,
        "hits": override.hits,
        "last": override.last or None,
    }


def shown_json(shown: OverrideView) -> dict[str, Any]:
    """An override as it stands beside others."""
    return {**override_json(shown.override), "overruled": shown.overruled}


def _is_meant(key: Key, action: str | None, scope: str | None, to: str | None) -> bool:
    return action in (None, key.action) and scope in (None, key.scope) and to in (None, key.recipient)


def _subject(path: Path) -> str:
    try:
        return subject_of(path["subject"])
    except BadOverride as error:
        raise Problem(400, str(error)) from None


async def _client_of(api: "Api", reference: str) -> str:
    verdict = await api.backend.verdict(reference)
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


def _flag(name: str, given: Mapping[str, str]) -> bool:
    text = given.get(name, "")
    if text not in _FLAGS:
        raise BadOverride(f"{name}: expected true or false, not {text[:40]!r}")
    return _FLAGS[text]


async def _parameters(request: web.BaseRequest, path: Path, known: tuple[str, ...]) -> dict[str, str]:
    """What was given in path, query and body, each once. Raises Problem."""
    query = request.rel_url.query
    given = [*query.items(), *(await _body(request, known)).items(), *path.items()]
    faults = [(name[:40], "no such parameter") for name, _ in given if name not in (*known, *path)]
    faults += [(name, "given twice") for name in known if sum(each == name for each, _ in given) > 1]
    if faults:
        raise bad_attributes(faults)
    return dict(given)


async def _body(request: web.BaseRequest, known: tuple[str, ...]) -> dict[str, str]:
    octets = await request.read()
    if not octets:
        return {}
    if request.content_type != "application/json" or not known:
        raise Problem(415, "expected a JSON object, or nothing")
    try:
        given = msgspec.json.decode(octets, type=dict[str, str | bool | None])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"no JSON object of texts: {error}") from None
    texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in given.items()}
    return {name: value for name, value in texts.items() if value is not None}
