"""Errors of the HTTP interface as RFC 9457 problem documents."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import msgspec
from aiohttp import web

from resolverd.failures import StoreError

MEDIA_TYPE = "application/problem+json"

_PHRASES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Those that RFC 9110 §15.5 has renamed, and Python with 3.13."""


def phrase(status: int) -> str:
    """What RFC 9110 calls a status."""
    return _PHRASES.get(status) or HTTPStatus(status).phrase


class ProblemDocument(msgspec.Struct):
    """A problem (RFC 9457); some have further members."""

    type: str
    title: str
    status: int
    detail: str


class Problem(Exception):
    """A request that cannot be answered: a status, what is wrong with it in words, and further members of the document."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: object):
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members

    def document(self) -> dict[str, object]:
        """The problem document; its type is the status, so the title is the status phrase (RFC 9457 §4.2.1)."""
        return {
            "type": "about:blank",
            "title": phrase(self.status),
            "status": self.status,
            "detail": self.detail,
            **self.members,
        }

    def response(self) -> web.Response:
        """The document as a response."""
        body = msgspec.json.encode(self.document())
        return web.Response(status=self.status, body=body, content_type=MEDIA_TYPE, headers=self.headers)


def bad_attributes(faults: Sequence[tuple[str, str]]) -> Problem:
    """400, with every attribute that is wrong and why."""
    text = "; ".join(f"{name}: {fault}" for name, fault in faults)
    return Problem(400, text, errors=[{"name": name, "detail": fault} for name, fault in faults])


def store_failed(error: StoreError) -> Problem:
    """503: the store cannot be read or written."""
    return Problem(503, f"the store: {error}")


def fault_of_ours() -> Problem:
    """500: a bug, which says nothing of itself to strangers."""
    return Problem(500, "a fault of ours, which is in the log")
