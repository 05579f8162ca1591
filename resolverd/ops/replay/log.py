"""A mail log as attempts: what it holds of each, and that the rest is not known."""

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final

from resolverd import bounds
from resolverd.dnsbl.names import unmapped
from resolverd.mail.domains import canonical
from resolverd.mail.findings import Action, GreylistOutcome, SmtpReply, Verdict
from resolverd.ops.maillog import Decision, Delivery, Record, Rejection
from resolverd.ops.replay.judge import Kept
from resolverd.policy.verdict_records import KeptAttempt
from resolverd.wire.names import Address

_BLOCKED: Final = re.compile(r"(?:Client host|Helo command|\w+ address) \[([^\[\]]{1,255})\] blocked using ")
_REPLACED: Final = re.compile(
    r"blocked using |Greylisted|.{0,300}"
    r"(?:cannot find your |Helo command rejected|Domain not found|does not accept mail|SPF fail)"
)
"""Refusals that are for the policy service to give: by lists, names, HELO, sender domain, SPF, greylisting."""
_KNOWN: Final = ("triplet found", "client AWL", "client whitelist", "recipient whitelist")
_ACTIONS: Final = {"pass": Action.ACCEPT, "reject": Action.REJECT, "defer": Action.DEFER, "greylist": Action.GREYLIST}


def attempts(records: Iterable[Record]) -> Iterator[Kept]:
    """Each attempt that a policy service decides, or would have decided, in the order of the log.

    A decision of ours, or of Postgrey, is told by its own line and once more by Postfix, if it refuses: that line has the code.
    From the first such line on what Postfix says by itself is left out, as the service was asked already.
    """
    waiting: OrderedDict[tuple[str, str, str], Decision] = OrderedDict()
    asked = False
    for record in records:
        if isinstance(record, Decision):
            asked = True
            if record.action in ("pass", "greylist"):
                yield _decided(record, None)
                continue
            if (before := waiting.pop(_mail(record), None)) is not None:
                yield _decided(before, None)
            waiting[_mail(record)] = record
            if len(waiting) > bounds.REPLAY_WAITING:
                yield _decided(waiting.popitem(last=False)[1], None)
        elif isinstance(record, Rejection) and record.counts and record.stage == "RCPT":
            if (decision := waiting.pop(_mail(record), None)) is not None:
                yield _decided(decision, record)
            elif not asked and _REPLACED.match(record.reason):
                yield _refused(record)
        elif isinstance(record, Delivery) and not asked and record.status == "sent" and record.client_address:
            yield _delivered(record)
    for left in waiting.values():
        yield _decided(left, None)


def _mail(record: Decision | Rejection) -> tuple[str, str, str]:
    return record.client_address, record.sender, record.recipient


def _decided(record: Decision, refusal: Rejection | None) -> Kept:
    action = _ACTIONS[record.action]
    greylist = None
    if action is Action.GREYLIST:
        greylist = GreylistOutcome("new", reason=record.reason)
    elif action is Action.ACCEPT and record.delay is not None:
        greylist = GreylistOutcome("passed", delayed=record.delay, reason=record.reason)
    elif action is Action.ACCEPT and record.reason.startswith(_KNOWN):
        greylist = GreylistOutcome("known", reason=record.reason)
    reply = _reply(refusal) if refusal is not None else None
    return _kept(
        record.at, record.id, action, record.reason, reply, greylist, record.client_name, record.client_address,
        record.helo_name, record.sender, record.recipient, refusal.text if refusal is not None else "",
        refusal.list if refusal is not None else "",
    )  # fmt: skip


def _refused(record: Rejection) -> Kept:
    greylist = GreylistOutcome("new", reason="new") if record.greylisted else None
    action = Action.GREYLIST if record.greylisted else Action.REJECT
    reply = None if record.greylisted else _reply(record)
    return _kept(
        record.at, record.reference, action, record.text, reply, greylist, record.client_name, record.client_address,
        record.helo_name, record.sender, record.recipient, record.text, record.list,
    )  # fmt: skip


def _delivered(record: Delivery) -> Kept:
    return _kept(
        record.at, record.queue_id, Action.ACCEPT, "delivered", None, None, record.client_name, record.client_address,
        "", record.sender or "", record.recipient,
    )  # fmt: skip


def _reply(record: Rejection) -> SmtpReply:
    return SmtpReply(record.code, record.dsn, record.text)


def _kept(
    at: int,
    reference: str,
    action: Action,
    reason: str,
    reply: SmtpReply | None,
    greylist: GreylistOutcome | None,
    client_name: str,
    client_address: str,
    helo_name: str,
    sender: str,
    recipient: str,
    said: str = "",
    listed_by: str = "",
) -> Kept:
    verdict = Verdict(reference, action, 0, reason, (), reply, greylist, client=_address(client_address))
    name = client_name or "unknown"
    # smtpd's verified name is the one that the address leads to; where it has none, the reverse name is not in the log.
    attempt = KeptAttempt(name, "" if name == "unknown" else name, helo_name, sender, recipient, "RCPT")
    untold = () if helo_name else ("the HELO name (not in the log)",)
    listed = _listed(said, listed_by) if listed_by else ()
    return Kept(verdict, _wall(at), attempt, listed, untold)


def _listed(said: str, shown: str) -> tuple[tuple[Address | str, str], ...]:
    """Whom a list has listed, by the words of a refusal."""
    found = _BLOCKED.search(said)
    if found is None:
        return ()
    subject = _address(found[1]) or canonical(found[1].rpartition("@")[2])
    return ((subject, shown),) if subject else ()


def _address(text: str) -> Address | None:
    try:
        return unmapped(ip_address(text))
    except ValueError:
        return None


def _wall(at: int) -> float:
    """The wall second at which a clock on this machine shows what a log line's shows (`maillog.stamps`)."""
    try:
        return datetime.fromtimestamp(at, UTC).replace(tzinfo=None).timestamp()
    except (ValueError, OverflowError, OSError):
        return float(at)
