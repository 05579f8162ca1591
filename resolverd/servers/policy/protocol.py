"""Postfix policy delegation on the wire (SMTPD_POLICY_README): octets to requests, requests to attempts, verdicts to actions.

No sockets here: `PolicyReader` is fed octets as they come and gives the requests that are complete.
"""

import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from resolverd import bounds
from resolverd.mail.findings import Action, SmtpReply, Verdict
from resolverd.mail.request import Attempt
from resolverd.mail.sanitize import sanitize
from resolverd.wire.names import Address

STATES = frozenset({"RCPT", "DATA"})
"""The protocol states that are judged; at DATA only headers are due."""

DUNNO = "DUNNO"
"""The action that leaves the decision to Postfix's other restrictions. Never OK, which would skip them."""


class PolicyReader:
    """Gathers octets until a request is complete: ``name=value`` lines, ended by an empty one (CRLF is taken as well).

    Unknown attributes are kept; of one given twice, the last. `garbage` says what is wrong with the first octets that are no
    request or out of bounds; nothing behind them is read.
    """

    __slots__ = ("_attributes", "_buffer", "_lines", "_size", "_taken", "garbage")

    def __init__(self) -> None:
        self.garbage = ""
        self._buffer = bytearray()
        self._attributes: dict[str, str] = {}
        self._size = self._lines = 0
        self._taken = False

    @property
    def started(self) -> bool:
        """Whether a request has begun and is not complete."""
        return bool(self._buffer or self._size)

    @property
    def waiting(self) -> int:
        """Octets that have not been looked at."""
        return len(self._buffer)

    def add(self, data: memoryview) -> None:
        """Take octets that are looked at later."""
        self._buffer += data

    def feed(self, data: bytes = b"", at_most: int = sys.maxsize) -> list[dict[str, str]]:
        """The requests that these octets complete, in order; where there are more than wanted, the next call has them."""
        requests: list[dict[str, str]] = []
        buffer, at = self._buffer, 0
        buffer += data
        while len(requests) < at_most and not self.garbage and (end := buffer.find(b"\n", at)) >= 0:
            self._line(bytes(buffer[at:end]).removesuffix(b"\r"), requests)
            at = end + 1
        del buffer[:at]
        if len(requests) < at_most and len(buffer) > bounds.POLICY_LINE and not self.garbage:
            self.garbage = f"a line of more than {bounds.POLICY_LINE} octets"
        return requests

    def next(self) -> Attempt | None:
        """The attempt of the first request that is complete, if there is one. Behind an error, `skip` goes on to the next."""
        self._taken = False
        if not self._lines and (attempt := whole_request(self._buffer)) is not None:
            self._buffer.clear()
            return attempt
        for request in self.feed(at_most=1):
            self._taken = True
            return attempt_of(request)
        return None

    def skip(self) -> bool:
        """Forget the request at which `next` has failed, read or not; whether its end was there."""
        if self._taken:
            return True
        end = self._buffer.find(b"\n\n")
        del self._buffer[: end + 2 if end >= 0 else len(self._buffer)]
        self._attributes, self._size, self._lines = {}, 0, 0
        return end >= 0

    def _line(self, line: bytes, requests: list[dict[str, str]]) -> None:
        self._size += len(line) + 1
        self._lines += 1
        name, equals, value = line.partition(b"=")
        if not line:
            if self._attributes.get("request") == "smtpd_access_policy":
                requests.append(self._attributes)
                self._attributes, self._size, self._lines = {}, 0, 0
            else:
                self.garbage = "no smtpd_access_policy request"
        elif len(line) > bounds.POLICY_LINE:
            self.garbage = f"a line of more than {bounds.POLICY_LINE} octets"
        elif not equals or not name or b"\0" in line:
            self.garbage = "a line that is no attribute"
        elif self._size > bounds.POLICY_REQUEST:
            self.garbage = f"a request of more than {bounds.POLICY_REQUEST} octets"
        elif self._lines > bounds.POLICY_ATTRIBUTES:
            self.garbage = f"a request of more than {bounds.POLICY_ATTRIBUTES} attributes"
        else:
            self._attributes[_decoded(name)] = _decoded(value)


_POSTFIX: Final = re.compile(
    """request=smtpd_access_policy
protocol_state=(.*)
protocol_name=.*
client_address=(.*)
client_name=(.*)
client_port=.*
reverse_client_name=(.*)
server_address=.*
server_port=.*
helo_name=(.*)
sender=(.*)
recipient=(.*)
recipient_count=(.*)
queue_id=(.*)
instance=(.*)
size=(.*)
etrn_domain=.*
stress=.*
sasl_method=.*
sasl_username=(.*)
sasl_sender=.*
ccert_subject=.*
ccert_issuer=.*
ccert_fingerprint=.*
ccert_pubkey_fingerprint=.*
encryption_protocol=.*
encryption_cipher=.*
encryption_keysize=.*
policy_context=.*
(?:compatibility_level=.*
mail_version=.*
)?(?:tls_sni=.*
)?
"""
)
"""What smtpd sends, in its order (smtpd_check.c): Postfix 3.2, then what 3.8 and 3.12 have behind it."""


def whole_request(octets: bytes | bytearray) -> Attempt | None:
    """The attempt, where these octets are one request and nothing else, as Postfix writes it; else None, for others to read."""
    if len(octets) > bounds.POLICY_LINE or b"\r" in octets or b"\0" in octets:
        return None
    try:
        found = _POSTFIX.fullmatch(octets.decode())
    except UnicodeDecodeError:
        return None
    if found is None:
        return None
    state, address, name, reverse_name, helo, sender, recipient, count, queue_id, instance, size, user = found.groups()
    return Attempt(
        address_of(address), name, reverse_name, helo, _bare(sender), True, _bare(recipient), _number(count),
        state.upper() or "RCPT", instance, queue_id, user, True, _number(size),
    )  # fmt: skip


def _decoded(octets: bytes) -> str:
    """UTF-8 (SMTPUTF8 addresses); what is none is spelt ``\\xNN``, so that it can be kept and shown."""
    return octets.decode("utf-8", "backslashreplace")


def attempt_of(attributes: Mapping[str, str]) -> Attempt:
    """The attempt that a request describes; what is missing or makes no sense is as if it had not been given."""
    given = attributes.get
    return Attempt(
        client_address=address_of(given("client_address", "")),
        client_name=given("client_name", ""),
        reverse_client_name=given("reverse_client_name", ""),
        helo_name=given("helo_name", ""),
        sender=_bare(given("sender", "")),
        has_sender="sender" in attributes,
        recipient=_bare(given("recipient", "")),
        recipient_count=_number(given("recipient_count", "")),
        protocol_state=given("protocol_state", "RCPT").upper() or "RCPT",
        instance=given("instance", ""),
        queue_id=given("queue_id", ""),
        sasl_username=given("sasl_username", ""),
        etrn_domain="etrn_domain" in attributes,
        size=_number(given("size", "")),
    )


@lru_cache(bounds.MAIL_NAMES)
def address_of(text: str) -> Address | None:
    """An address as Postfix writes it, or with brackets or ``IPv6:`` in front; IPv4 in IPv6 is IPv4. None for none."""
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    try:
        address = ip_address(text.removeprefix("IPv6:"))
    except ValueError:
        return None
    if address.version == 6:
        if address.scope_id:
            return None
        return address.ipv4_mapped or address
    return address


def _bare(path: str) -> str:
    return path.removeprefix("<").removesuffix(">")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0


def render(verdict: Verdict, *, reference: bool = True) -> str:
    """The action for a verdict (access(5)), one line without its end. `reference`: the reply ends in the verdict's id.

    A refusal carries its own code; a deferral and greylisting leave it to Postfix to find a harsher reason first.
    """
    reply = reply_to(verdict)
    if reply is None:
        return f"PREPEND {sanitize(verdict.header, bounds.POLICY_HEADER)}" if verdict.header else DUNNO
    text = reply.text if reference else reply.text.removesuffix(f"; ref {verdict.id}")
    said = f"{reply.enhanced} {sanitize(text, bounds.POLICY_REPLY)}"
    return f"{reply.code} {said}" if verdict.action is Action.REJECT else f"DEFER_IF_PERMIT {said}"


def reply_to(verdict: Verdict) -> SmtpReply | None:
    """What SMTP says to the client; None for mail that passes. Postfix itself puts 450 in front of what is deferred."""
    if verdict.action is Action.GREYLIST:
        text = verdict.reply.text if verdict.reply else f"Greylisted, please try again later; ref {verdict.id}"
        return SmtpReply(450, "4.2.0", text)
    if verdict.action is Action.DEFER:
        reply = verdict.reply or SmtpReply(450, "4.7.1", f"Try again later; ref {verdict.id}")
        return reply._replace(code=450)
    return verdict.reply if verdict.action is Action.REJECT else None
