"""What Postfix's lines say. Each pattern is anchored where Postfix itself begins; a stranger's words come behind."""

import re
from typing import Final

from resolverd.ops.maillog.records import (
    AuthFailure,
    Connection,
    Delivery,
    LostConnection,
    Pregreet,
    Record,
    Rejection,
    Trouble,
)

QUEUE_ID: Final = re.compile(r"([0-9A-Za-z]{5,24}|NOQUEUE): ")
_CLIENT: Final = r"([^\[\]\s]*)\[([0-9A-Fa-f.:]+|unknown)\](?::\d+)?"
CLIENT: Final = re.compile(r"client=" + _CLIENT)
_CONNECT: Final = re.compile(r"(?:connect|CONNECT) from " + _CLIENT)
_LOST: Final = re.compile(
    r"(lost connection|timeout|too many errors|improper command pipelining) after (\S+)(?: \([^)]*\))? from " + _CLIENT
)
_PREGREET: Final = re.compile(r"PREGREET \d+ after \S+ from " + _CLIENT + r": (.*)")
_AUTH: Final = re.compile(_CLIENT + r": SASL (\S{1,40}) authentication failed")
_LEVEL: Final = re.compile(r"(warning|error|fatal|panic): ")
_REJECT: Final = re.compile(r"(milter-reject|reject_warning|reject|hold|discard): (\S{1,40}) from " + _CLIENT + r"[:;] ?")
_CHECKED: Final = re.compile(r"(?:milter-reject|reject|hold|discard|warning): (?:header|body) ")
_REPLY: Final = re.compile(r"(?:(\d{3}) )?(?:([245]\.\d{1,3}\.\d{1,3}) )?")
_ENVELOPE: Final = re.compile(
    r"from=<([^<>]*)>(?:,? to=<([^<>]*)>)?(?:,? proto=\w+)?(?:,? sasl_\w+=[^\s,]+)*(?:,? helo=<([^<>]*)>)?(?:: .*)?$"
)
_ABOUT: Final = re.compile(r"<[^<>]*>: ")
_BLOCKED: Final = re.compile(r"blocked using ([\w.-]{1,255})")
_REFERENCE: Final = re.compile(r"; ref ([\w-]{1,40})$")
_LINK: Final = re.compile(r"; https?://\S+|, reason: .*|; (?=https?:).*")
_SCORE: Final = re.compile(r"\(score .*")
_SPF: Final = re.compile(r"(SPF \w{1,20}) - .*")
_DOMAIN: Final = re.compile(r"(?:Domain|user) \S+ (?=does not accept|$)|(?<=not owned by user) \S+")
_BRACKETS: Final = re.compile(r"\[[^\[\]]*\]|<[^<>]*>")
_NUMBERS: Final = re.compile(r"\b\d+\b")
_DELIVERY: Final = re.compile(
    r"to=<([^>]*)>, (?:orig_to=<([^>]*)>, )?relay=([^,]+), (?:conn_use=[^,]+, )?delay=([0-9.]+), (?:delays=[^,]+, )?"
    r"(?:dsn=([^,]+), )?status=([\w-]+)(?: \((.*)\)?)?"
)
QUEUED: Final = re.compile(r"from=<([^>]*)>, size=(\d{1,18})")


def said_by_smtpd(at: int, text: str) -> Record | None:
    """A line of smtpd or postscreen about a connection; since Postfix 3.9 how one is lost stands behind a queue id."""
    if match := _CONNECT.match(text):
        return Connection(at, match[1], match[2], text.startswith("CONNECT"))
    if match := _LOST.match(text):
        return LostConnection(at, match[3], match[4], match[2], match[1])
    if match := _PREGREET.match(text):
        return Pregreet(at, match[2], match[3])
    return None


def trouble(at: int, service: str, text: str) -> Record | None:
    """A warning or worse."""
    if not (match := _LEVEL.match(text)):
        return None
    words = text[match.end() :]
    if service == "smtpd" and (failed := _AUTH.match(words)):
        return AuthFailure(at, failed[1], failed[2], failed[3])
    return Trouble(at, match[1], service, words)


def delivery(at: int, service: str, queue_id: str, text: str) -> Delivery | None:
    """A line of a delivery agent, behind its queue id."""
    if not (match := _DELIVERY.match(text)):
        return None
    recipient, original, relay, delay, dsn, status, words = match.groups()
    try:
        seconds = float(delay)
    except ValueError:
        seconds = 0.0
    words = (words or "").removesuffix(")")
    return Delivery(
        at, queue_id, service, recipient, relay, seconds, dsn or "", status, words, original_recipient=original or ""
    )


def rejection(at: int, service: str, queue_id: str, text: str) -> Rejection | None:
    """A line of smtpd, postscreen or cleanup that something is refused, held or thrown away, behind its queue id."""
    if _CHECKED.match(text):
        return _by_content(at, service, queue_id, text)
    if not (match := _REJECT.match(text)):
        return None
    kind, stage, name, address = match.groups()
    words = text[match.end() :]
    reply = words.partition("; from=<")[0]
    sender, recipient, helo = _envelope(words)
    code = _REPLY.match(reply)
    said = reply[code.end() :] if code else reply
    reason, zone, reference = reason_of(said)
    return Rejection(
        at, kind, stage, service, queue_id, name, address, int((code and code[1]) or 0), (code and code[2]) or "", said, reason,
        zone, reference, sender, recipient, helo,
    )  # fmt: skip


def _by_content(at: int, service: str, queue_id: str, text: str) -> Rejection:
    """Header and body checks: the message's own words come first, so that nothing behind them is certain but the stage."""
    kind, _, rest = text.partition(": ")
    stage = rest.partition(" ")[0]
    client = re.search(r" from " + _CLIENT + r"; from=<", rest) if rest.count("; from=<") == 1 else None
    sender, recipient, helo = _envelope(rest)
    return Rejection(
        at, kind, stage, service, queue_id, client[1] if client else "", client[2] if client else "", 0, "", rest,
        f"{stage} check", "", "", sender, recipient, helo,
    )  # fmt: skip


def _envelope(words: str) -> tuple[str, str, str]:
    """Sender, recipient and HELO at a line's end, if they can be told from one another: all three are strangers' words."""
    if words.count("; from=<") != 1:
        return "", "", ""
    if not (match := _ENVELOPE.match(words, words.index("; from=<") + 2)):
        return "", "", ""
    return match[1], match[2] or "", match[3] or ""


def reason_of(said: str) -> tuple[str, str, str]:
    """Of a reply: the reason, without what is different from client to client; the list it names; the reference, ours."""
    reference = ""
    if found := _REFERENCE.search(said):
        reference = found[1]
        said = said[: found.start()]
    if about := _ABOUT.match(said):
        said = said[about.end() :]
    said = _LINK.sub("", said)
    if blocked := _BLOCKED.search(said):
        return f"blocked using {blocked[1]}", blocked[1].rstrip("."), reference
    said = said.partition("; ")[0] if said.startswith(("Service unavailable", "Recipient", "Greylisted")) else said
    said = said.removeprefix("Recipient address rejected: ") if _OURS.match(said) else said
    if said.startswith("Greylisted"):
        return "Greylisted", "", reference
    said = _SCORE.sub("(score)", _SPF.sub(r"\1", _DOMAIN.sub("", said)))
    said = _NUMBERS.sub("N", _BRACKETS.sub("", said))
    said += ")" * (said.count("(") - said.count(")"))
    return " ".join(said.split())[:160].rstrip(" ;,:"), "", reference


_OURS: Final = re.compile(
    r"Recipient address rejected: (?:(?:Client host|Helo command|Sender address|Message) rejected|Service unavailable|"
    r"Greylisted|Message deferred|Protocol error)"
)
"""What Postfix puts in front of every reply of a policy service asked at RCPT."""
