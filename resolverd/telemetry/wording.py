"""Notices in words: as a mail (RFC 5322) and as JSON for a webhook."""

from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

from resolverd import __version__
from resolverd.mail.sanitize import sanitize
from resolverd.telemetry.alerts import Notice
from resolverd.telemetry.troubles import TITLES

_LINE = 400
"""Characters of one line: some of it is a list's own words."""


def title(notice: Notice) -> str:
    """What it is about, in a line."""
    if notice.ended:
        return f"over: {TITLES[notice.kind]}"
    return TITLES[notice.kind]


def text(notice: Notice) -> str:
    """All that there is to say."""
    lines = [sanitize(trouble.text, _LINE) for trouble in notice.troubles]
    if notice.ended:
        lines = ["This has ended:", "", *lines]
    if notice.held:
        lines += ["", f"{notice.held} more of the kind came and went since the last notice."]
    return "\n".join(lines)


def mail(notice: Notice, to: Sequence[str], host: str, at: datetime) -> EmailMessage:
    """The mail; automatic, so that nobody answers it by a machine (RFC 3834)."""
    message = EmailMessage()
    message["From"] = f"resolverd <resolverd@{host}>"
    message["To"] = ", ".join(to)
    message["Subject"] = f"[resolverd {host}] {title(notice)}"
    message["Date"] = format_datetime(at)
    message["Message-ID"] = make_msgid(domain=host)
    message["Auto-Submitted"] = "auto-generated"
    message["X-Mailer"] = f"resolverd {__version__}"
    more = "The next notice of this kind comes in an hour at the earliest." if not notice.ended else ""
    message.set_content("\n".join(filter(None, (text(notice), "", more, "`resolverd status` tells how things are now."))) + "\n")
    return message


def document(notice: Notice, host: str, at: datetime) -> dict[str, object]:
    """What is posted to a webhook; `text` is all of it in words, as chat programs show it."""
    return {
        "service": "resolverd",
        "version": __version__,
        "host": host,
        "at": at.isoformat(timespec="seconds"),
        "kind": notice.kind,
        "state": "ended" if notice.ended else "begun",
        "title": title(notice),
        "troubles": [{"subject": each.subject, "text": sanitize(each.text, _LINE)} for each in notice.troubles],
        "held_back": notice.held,
        "text": f"[resolverd {host}] {title(notice)}\n{text(notice)}",
    }
