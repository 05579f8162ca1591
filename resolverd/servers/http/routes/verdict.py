"""Verdicts: on an attempt, on a stream of them, and one given before."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from resolverd import bounds, logs
from resolverd.failures import StoreError
from resolverd.mail.findings import Finding as GivenFinding
from resolverd.mail.findings import GreylistOutcome
from resolverd.mail.findings import Verdict as GivenVerdict
from resolverd.mail.request import Attempt
from resolverd.memo import Memo
from resolverd.policy.verdict_records import StoredVerdict
from resolverd.servers.http import parameters
from resolverd.servers.http.auth import SECURITY_HEADERS
from resolverd.servers.http.daemon import Daemon
from resolverd.servers.http.parameters import AddressParameter, rfc3339
from resolverd.servers.http.problems import Problem, fault_of_ours, store_failed
from resolverd.servers.http.route import Body, Call, Route
from resolverd.servers.policy.protocol import address_of, reply_to

_log = logging.getLogger(__name__)

_NDJSON: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/json"})

_Text = Annotated[
    str,
    Meta(
        max_length=bounds.HTTP_PARAMETER,
        description=f"at most {bounds.HTTP_PARAMETER} printable characters",
        extra={"valid": str.isprintable},
    ),
]
_Number = Annotated[int, Meta(ge=0, lt=2**53, description="a whole number")]
_State = Annotated[
    Literal["CONNECT", "EHLO", "HELO", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE", "VRFY", "ETRN"],
    Meta(description="a protocol state of Postfix, such as RCPT"),
]


class Attributes(msgspec.Struct, kw_only=True):
    """Postfix's policy attributes. A sender given as "" is the null sender; one not given is unknown."""

    ignored: ClassVar[frozenset[str]] = frozenset({
        "request", "protocol_name", "sasl_method", "sasl_sender", "ccert_subject", "ccert_issuer", "ccert_fingerprint",
        "ccert_pubkey_fingerprint", "encryption_protocol", "encryption_cipher", "encryption_keysize", "etrn_domain", "stress",
        "client_port", "policy_context", "server_address", "server_port", "compatibility_level", "mail_version", "tls_sni",
    })  # fmt: skip

    client_address: AddressParameter
    helo_name: _Text = ""
    sender: _Text | None = None
    recipient: _Text = ""
    client_name: _Text = ""
    reverse_client_name: _Text = ""
    instance: _Text = ""
    queue_id: _Text = ""
    sasl_username: _Text = ""
    protocol_state: _State = "RCPT"
    size: _Number = 0
    recipient_count: _Number = 0

    @property
    def attempt(self) -> Attempt:
        """The attempt that they describe."""
        return Attempt(
            client_address=address_of(self.client_address),
            helo_name=self.helo_name,
            sender=_bare(self.sender or ""),
            has_sender=self.sender is not None,
            recipient=_bare(self.recipient),
            client_name=self.client_name,
            reverse_client_name=self.reverse_client_name,
            instance=self.instance,
            queue_id=self.queue_id,
            sasl_username=self.sasl_username,
            protocol_state=self.protocol_state,
            size=self.size,
            recipient_count=self.recipient_count,
        )


class RecordedAttributes(Attributes, kw_only=True):
    """Postfix's policy attributes. A sender given as "" is the null sender; one not given is unknown.

    The attempt is recorded as the policy service does, unless `dry_run`.
    """

    dry_run: bool = False


class Evidence(msgspec.Struct, gc=False):
    """One question asked and what came back; `age` in seconds where it came from a cache, when the checks asked it."""

    asked: str
    answered: str
    age: int | None
    ms: int | None


class Finding(msgspec.Struct):
    """What one check has to say."""

    check: str
    code: str
    text: str
    score: float
    consequence: str | None
    reply: str | None
    link: str | None
    evidence: list[Evidence]
    ms: int


class Greylist(msgspec.Struct):
    """What greylisting did; `missing` and `delayed` in seconds."""

    state: str
    missing: int
    delayed: int
    reason: str

    @classmethod
    def of(cls, outcome: GreylistOutcome) -> "Greylist":
        """As JSON has it."""
        return cls(outcome.state, outcome.missing, outcome.delayed, outcome.reason)


class WhatIf(msgspec.Struct):
    """What would have changed the verdict."""

    without: list[str]
    action: str
    text: str


class Verdict(msgspec.Struct):
    """A verdict, with everything that led to it."""

    id: str
    action: Literal["accept", "reject", "defer", "greylist"]
    score: float
    reason: str
    reply: str | None
    findings: list[Finding]
    greylist: Greylist | None
    header: str | None
    otherwise: list[WhatIf]
    partial: bool
    ms: int

    @classmethod
    def of(cls, verdict: GivenVerdict) -> "Verdict":
        """As JSON has it."""
        reply = reply_to(verdict)
        return cls(
            id=verdict.id,
            action=verdict.action.value,
            score=verdict.score,
            reason=verdict.reason,
            reply=str(reply) if reply else None,
            findings=_findings.of(verdict.findings),
            greylist=Greylist.of(verdict.greylist) if verdict.greylist else None,
            header=verdict.header or None,
            otherwise=[WhatIf(list(each.without), each.action.value, each.text) for each in verdict.what_if],
            partial=verdict.partial,
            ms=verdict.ms,
        )


def _as_json(findings: tuple[GivenFinding, ...]) -> list[Finding]:
    return [
        Finding(
            check=finding.check,
            code=finding.code,
            text=finding.text,
            score=finding.score,
            consequence=finding.consequence.value if finding.consequence else None,
            reply=str(finding.reply) if finding.reply else None,
            link=finding.link or None,
            evidence=[Evidence(each.asked, each.answered, each.age, each.ms) for each in finding.evidence],
            ms=finding.ms,
        )
        for finding in findings
    ]


_findings: Final = Memo(_as_json, bounds.VERDICT_FINDINGS)
"""The verdicts on one client's mail have their findings in common."""


async def get_verdict(call: Call, given: Attributes) -> Verdict:
    """The verdict on an attempt; nothing is recorded."""
    return Verdict.of(await call.daemon.policy.verdict_on(given.attempt, record=False))


async def post_verdict(call: Call, given: RecordedAttributes) -> Verdict:
    """The verdict on an attempt, recorded as the policy service does."""
    return await _recorded(call.daemon, given)


async def _recorded(daemon: Daemon, given: RecordedAttributes) -> Verdict:
    return Verdict.of(await daemon.policy.verdict_on(given.attempt, record=not given.dry_run))


class EarlierAttempt(msgspec.Struct):
    """What a verdict was on. `sender` is null where none was given yet, "" for the null sender. `protocol_state`: Postfix's."""

    client_address: str | None
    client_name: str
    reverse_client_name: str
    helo_name: str
    sender: str | None
    recipient: str
    protocol_state: str


class EarlierVerdict(Verdict):
    """A verdict given before: when (RFC 3339), and on what; null where that was not kept, as earlier versions did.

    `host`: who gave it; null where no other host shares the store.
    """

    at: str
    attempt: EarlierAttempt | None
    host: str | None = None

    @classmethod
    def of_stored(cls, stored: StoredVerdict, now: float) -> "EarlierVerdict":
        """As JSON has it; `now` in wall seconds."""
        said = Verdict.of(stored.verdict)
        client, attempt = stored.verdict.client, stored.attempt
        told = None if attempt is None else EarlierAttempt(None if client is None else str(client), *attempt[:6])
        return cls(**msgspec.structs.asdict(said), at=rfc3339(now - stored.age), attempt=told, host=stored.host or None)


async def get_earlier_verdict(call: Call) -> EarlierVerdict:
    """A verdict given before, by its id, with what it was on."""
    try:
        stored = await call.daemon.verdicts.find(call.path["id"])
    except StoreError as error:
        raise store_failed(error) from None
    if stored is None:
        raise Problem(404, "no verdict with this id, or not any more")
    return EarlierVerdict.of_stored(stored, call.daemon.clock.wall())


# -- a stream ---------------------------------------------------------------------------------------------------------------


async def post_verdicts(call: Call) -> web.StreamResponse:
    """A line in, a line out, in order; a faulty line has its problem document in its place."""
    parameters.expect_type(call.request, _NDJSON)
    response = web.StreamResponse(headers={**SECURITY_HEADERS, "Content-Type": "application/x-ndjson"})
    await response.prepare(call.request)
    answers: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue(bounds.HTTP_STREAM_WINDOW)
    reading = asyncio.create_task(_read_stream(call, answers))
    try:
        while (answer := await answers.get()) is not None:
            await response.write(await answer)
        await reading
    except Problem as problem:  # the stream itself is broken; what was asked before has its answer
        await response.write(_line(problem.document()))
        response.force_close()
    finally:
        reading.cancel()
        while not answers.empty():
            if (unwanted := answers.get_nowait()) is not None:
                unwanted.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    await response.write_eof()
    return response


async def _read_stream(call: Call, answers: asyncio.Queue[asyncio.Task[bytes] | None]) -> None:
    try:
        while line := await _next_line(call.request):
            if not line.isspace():
                await answers.put(asyncio.create_task(_judge(call.daemon, line)))
    finally:
        await answers.put(None)


async def _judge(daemon: Daemon, line: bytes) -> bytes:
    try:
        given = parameters.of_object(RecordedAttributes, parameters.json_object(line))
        return msgspec.json.encode(await _recorded(daemon, given)) + b"\n"
    except Problem as problem:
        return _line(problem.document())
    except Exception as error:
        logs.bug(_log, daemon.counters, "http", "no verdict on a line of a stream", error=error)
        return _line(fault_of_ours().document())


async def _next_line(request: web.BaseRequest) -> bytes:
    """The next line of the body, b"" at its end. Raises Problem."""
    line = bytearray()
    try:
        async with asyncio.timeout(bounds.HTTP_BODY_TIME):
            while not line.endswith(b"\n"):
                part = await request.content.readline()
                line += part
                if not part:
                    break
    except TimeoutError:
        raise Problem(408, "the next line took too long") from None
    except ValueError:
        raise Problem(413, f"a line of more than {bounds.HTTP_BODY} octets") from None
    if len(line) > bounds.HTTP_BODY:
        raise Problem(413, f"a line of more than {bounds.HTTP_BODY} octets")
    return bytes(line)


def _line(document: Mapping[str, object]) -> bytes:
    return msgspec.json.encode(document) + b"\n"


def _bare(address: str) -> str:
    """A mail address without the brackets that SMTP puts around it."""
    return address.removeprefix("<").removesuffix(">")


ROUTES = (
    Route("GET", "/v1/verdict", get_verdict, "verdict", costs=True),
    Route("POST", "/v1/verdict", post_verdict, "verdict", body=Body.ONLY),
    Route("POST", "/v1/verdicts", post_verdicts, "verdict", body=Body.ONLY, lines=(RecordedAttributes, Verdict)),
    Route("GET", "/v1/verdict/{id}", get_earlier_verdict, problems=(404, 503)),
)
