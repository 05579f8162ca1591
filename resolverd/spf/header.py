"""The outcome on delivered mail: Received-SPF (RFC 7208 §9.1) or Authentication-Results (RFC 8601), each on one line."""

import re

from resolverd import bounds
from resolverd.mail.sanitize import sanitize
from resolverd.spf.evaluate import SpfOutcome, SpfSubject
from resolverd.spf.identities import Identity
from resolverd.spf.record import Result
from resolverd.wire.alabels import in_ascii

_DOT_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_ADDRESS = 330
"""Octets of an address: 64 and 255 with an ``@`` between them, and some to spare (RFC 5321 §4.5.3.1)."""


def received_spf(identity: Identity, subject: SpfSubject, outcome: SpfOutcome) -> str:
    """The ``Received-SPF`` field. Mail filters for DMARC read `identity` and the domain of ``envelope-from``."""
    envelope = sanitize(subject.sender, _ADDRESS) if identity is Identity.MAILFROM else ""
    pairs = (
        ("client-ip", str(subject.address)),
        ("envelope-from", envelope),
        ("identity", identity.value),
        ("receiver", sanitize(subject.receiver, 255)),
        ("helo", sanitize(in_ascii(subject.helo), 255)),
        ("mechanism", sanitize(outcome.mechanism, 60)),
        ("problem", sanitize(outcome.problem, 60)),
    )
    field = f"Received-SPF: {outcome.result} ({_comment(identity, subject, outcome)})"
    for key, value in pairs:
        pair = f" {key}={_value(value)};"
        # what does not fit is left out whole: half a pair spoils them all
        if value and len(field) + len(pair) <= bounds.HEADER_OCTETS:
            field += pair
    return field


def authentication_results(identity: Identity, subject: SpfSubject, outcome: SpfOutcome) -> str:
    """The ``Authentication-Results`` field, with ourselves as its authority."""
    if identity is Identity.HELO:
        about = f"smtp.helo={_value(sanitize(in_ascii(subject.helo), 255))}"
    else:
        # The domain alone (RFC 8601 §2.7.2 allows both): OpenDMARC 1.4 takes a whole address for no pass.
        about = f"smtp.mailfrom={_value(sanitize(subject.domain, 255))}"
    result, comment = outcome.result, _comment(identity, subject, outcome)
    return f"Authentication-Results: {_value(sanitize(subject.receiver, 255))}; spf={result} ({comment}) {about}"


def _comment(identity: Identity, subject: SpfSubject, outcome: SpfOutcome) -> str:
    whose = in_ascii(subject.helo) if identity is Identity.HELO else subject.sender
    text = f"{subject.receiver}: {_words(outcome, str(subject.address), f'domain of {sanitize(whose, 100)}')}"
    return re.sub(r"([()\\])", r"\\\1", sanitize(text, 240))


def _words(outcome: SpfOutcome, address: str, domain: str) -> str:
    if outcome.result is Result.PASS and outcome.worthless:
        return f"{domain} designates anybody, and {address} with them"
    return {
        Result.PASS: f"{domain} designates {address} as permitted sender",
        Result.FAIL: f"{domain} does not designate {address} as permitted sender",
        Result.SOFTFAIL: f"{domain} does not quite designate {address} as permitted sender",
        Result.NEUTRAL: f"{domain} says neither yes nor no to {address}",
        Result.NONE: f"{domain} has no record",
        Result.TEMPERROR: f"record of {domain} could not be read just now",
        Result.PERMERROR: f"record of {domain} is faulty",
    }[outcome.result]


def _value(text: str) -> str:
    """A dot-atom as it is, anything else quoted (RFC 5322 §3.2.4)."""
    return text if _DOT_ATOM.fullmatch(text) else '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
