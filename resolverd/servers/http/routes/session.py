"""A session for the dashboard: the token is given once, a cookie stands in for it afterwards."""

from typing import Literal

import msgspec

from resolverd.servers.http.auth import ANYBODY
from resolverd.servers.http.parameters import Text
from resolverd.servers.http.route import Body, Call, Route
from resolverd.servers.http.sessions import IDLE


class Login(msgspec.Struct):
    """The token."""

    token: Text


class Session(msgspec.Struct):
    """Whom a request comes from. `by`: what shows that it may have everything; null where nothing does.

    `rights`: what of ``[http] open`` it may have. `expires`: seconds until the session ends unless it is used, null without one.
    """

    by: Literal["socket", "token", "session"] | None
    rights: list[str]
    expires: int | None


async def get_session(call: Call) -> Session:
    """Who the caller is, and what it may have."""
    return _session(call)


async def post_session(call: Call, given: Login) -> Session:
    """Begin a session: the cookie that comes with the answer stands in for the token, for our own page.

    It ends after 30 minutes without a call, and after 12 hours. Too many wrong tokens are answered 429.
    """
    cookie = call.auth.log_in(call.request, given.token)
    call.headers["Set-Cookie"] = f"{cookie}; HttpOnly; SameSite=Strict; Path=/"
    return Session("session", call.auth.rights(call.request, everything=True), int(IDLE))


async def delete_session(call: Call) -> Session:
    """End the session."""
    cookie = call.auth.log_out(call.request)
    call.headers["Set-Cookie"] = f"{cookie}; HttpOnly; SameSite=Strict; Path=/; Max-Age=0"
    return _session(call)


def _session(call: Call) -> Session:
    by, expires = call.auth.who(call.request)
    return Session(by, call.auth.rights(call.request, everything=by is not None), None if expires is None else int(expires))


ROUTES = (
    Route("GET", "/v1/session", get_session, ANYBODY),
    Route("POST", "/v1/session", post_session, ANYBODY, body=Body.ONLY, problems=(401, 429)),
    Route("DELETE", "/v1/session", delete_session, ANYBODY),
)
