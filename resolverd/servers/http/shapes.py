"""Values as JSON objects with stable keys, and attempts from JSON: what the HTTP interface and ``--json`` say."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from resolverd.dnsbl.spec import ListStatus
from resolverd.mail.findings import Finding, Verdict, WhatIf
from resolverd.mail.lookups import Clear, Listed, Skipped
from resolverd.mail.request import Attempt
from resolverd.servers.http.problems import Problem, bad_attributes
from resolverd.servers.policy.protocol import address_of, reply_to
from resolverd.servers.ports import CacheEntry, ListSaying, Trace
from resolverd.wire import names
from resolverd.wire.names import Address

_TEXTS = ("client_name", "reverse_client_name", "helo_name", "sender", "recipient", "instance", "queue_id", "sasl_username")
_NUMBERS = ("recipient_count", "size")
_IGNORED = (
    "request", "protocol_name", "sasl_method", "sasl_sender", "ccert_subject", "ccert_issuer", "ccert_fingerprint",
    "ccert_pubkey_fingerprint", "encryption_protocol", "encryption_cipher", "encryption_keysize", "etrn_domain", "stress",
    "client_port", "policy_context", "server_address", "server_port", "compatibility_level", "mail_version", "tls_sni",
)  # fmt: skip
_KNOWN = ("client_address", "protocol_state", "dry_run", *_TEXTS, *_NUMBERS, *_IGNORED)
_LONGEST = 1024
_DOMAIN = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")


def attempt_from(attributes: Mapping[str, Any]) -> tuple[Attempt, bool]:
    """The attempt that an object of Postfix's attributes describes, and its ``dry_run``. Raises Problem with every fault."""
    faults: list[tuple[str, str]] = []
    values: dict[str, Any] = {}
    for name, value in attributes.items():
        if name not in _KNOWN:
            faults.append((name, f"no such attribute; did you mean {get_close_matches(name, _KNOWN, 1, 0.0)[0]}?"))
        elif name in _TEXTS:
            if not isinstance(value, str | None):
                faults.append((name, "expected a string"))
            elif value and (len(value) > _LONGEST or not value.isprintable()):
                faults.append((name, f"expected at most {_LONGEST} printable characters"))
            elif value is not None:
                values[name] = value
        elif name in _NUMBERS:
            if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
                value = int(value)
            if isinstance(value, bool) or not isinstance(value, int | None) or not 0 <= (value or 0) < 2**53:
                faults.append((name, "expected a whole number"))
            else:
                values[name] = value or 0
    dry_run = attributes.get("dry_run", False)
    if not isinstance(dry_run, bool):
        faults.append(("dry_run", "expected true or false"))
    state = attributes.get("protocol_state", "RCPT")
    if state not in ("CONNECT", "EHLO", "HELO", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE", "VRFY", "ETRN"):
        faults.append(("protocol_state", "expected a protocol state of Postfix, such as RCPT"))
    given = attributes.get("client_address")
    client = address_of(given) if isinstance(given, str) else None
    if client is None:
        faults.append(("client_address", "is missing" if given in (None, "") else "expected an IPv4 or IPv6 address"))
    if faults:
        raise bad_attributes(faults)
    for name in ("sender", "recipient"):
        if name in values:
            values[name] = values[name].removeprefix("<").removesuffix(">")
    return Attempt(client_address=client, has_sender="sender" in values, protocol_state=state, **values), dry_run


def subject_from(text: str) -> Address | str:
    """An address, or a domain name in lower case as A-labels. Raises Problem."""
    if (address := address_of(text)) is not None:
        return address
    try:
        name = names.to_text(names.lower(names.from_text(text))).removesuffix(".")
    except names.BadName:
        name = ""
    if not _DOMAIN.fullmatch(name) or name.rpartition(".")[2].isdigit():
        raise Problem(400, f"{text[:100]!r} is neither an IP address nor a domain name")
    return name


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """A verdict, with everything that led to it."""
    greylist, reply = verdict.greylist, reply_to(verdict)
    return {
        "id": verdict.id,
        "action": verdict.action.value,
        "score": verdict.score,
        "reason": verdict.reason,
        "reply": str(reply) if reply else None,
        "findings": [_finding(finding) for finding in verdict.findings],
        "greylist": greylist._asdict() if greylist else None,
        "header": verdict.header or None,
        "otherwise": [_otherwise(each) for each in verdict.what_if],
        "partial": verdict.partial,
        "ms": verdict.ms,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "code": finding.code,
        "text": finding.text,
        "score": finding.score,
        "consequence": finding.consequence.value if finding.consequence else None,
        "reply": str(finding.reply) if finding.reply else None,
        "link": finding.link or None,
        "evidence": [evidence._asdict() for evidence in finding.evidence],
        "ms": finding.ms,
    }


def _otherwise(what_if: WhatIf) -> dict[str, Any]:
    return {"without": list(what_if.without), "action": what_if.action.value, "text": what_if.text}


def list_json(state: ListStatus) -> dict[str, Any]:
    """How one list fares."""
    return {**state._asdict(), "kinds": list(state.kinds), "watched": list(state.watched)}


def lookup_json(subject: Address | str, sayings: Sequence[ListSaying]) -> dict[str, Any]:
    """What every list says of a subject."""
    lists = [_saying(saying) for saying in sayings]
    return {
        "subject": str(subject),
        "listed": sum(entry["result"] == "listed" and entry["purpose"] == "block" and entry["weight"] != 0 for entry in lists),
        "allowed": sum(entry["result"] == "listed" and entry["purpose"] == "allow" for entry in lists),
        "unknown": sum(entry["result"] == "unknown" for entry in lists),
        "lists": lists,
    }


def _saying(saying: ListSaying) -> dict[str, Any]:
    state, reply = saying
    entry: dict[str, Any] = {"id": state.id, "list": state.shown, "purpose": state.purpose}
    if isinstance(reply, Listed):
        entry |= {
            "result": "listed",
            "codes": list(reply.codes),
            "addresses": list(reply.addresses),
            "weight": reply.weight,
            "reason": reply.reason,
            "link": reply.link or None,
        }
    elif isinstance(reply, Clear):
        entry |= {"result": "clear"}
    elif isinstance(reply, Skipped):
        return entry | {"result": "skipped"}
    else:
        return entry | {"result": "unknown", "why": reply.why.value, "detail": reply.detail}
    return entry | {"ttl": reply.ttl, "age": reply.age, "ms": reply.ms}


def cache_json(entry: CacheEntry) -> dict[str, Any]:
    """One entry of the cache."""
    return {**entry._asdict(), "records": list(entry.records)}


def trace_json(trace: Trace) -> dict[str, Any]:
    """How a name is resolved."""
    return {
        "rcode": trace.rcode,
        "records": list(trace.records),
        "reasons": list(trace.reasons),
        "ms": trace.ms,
        "exchanges": [exchange._asdict() for exchange in trace.exchanges],
    }
