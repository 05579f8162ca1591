"""Log lines: plain ones, and one a decision in the form that the admin's reports read.

``postgrey``  ``action=greylist, reason=new, client_name=…``: what Postgrey 1.37 logs, our own fields behind it
``logfmt``    ``key=value`` pairs, quoted where needed
``json``      one object a line

Everything goes to one stream. A line has time, host and tag in front as a syslog file has them, or, where the journal
reads the stream and adds those itself, only the priority (sd-daemon(3)).
"""

import hashlib
import hmac
import json
import logging
import os
import socket
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TextIO

FORMATS: Final = ("postgrey", "logfmt", "json")
_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))
_POSTGREY_ORDER: Final = ("action", "reason", "delay", "client_name", "client_address", "sender", "recipient")
_PERSONAL: Final = ("subject", "to", "client_name", "client_address", "helo_name", "sender", "recipient", "sasl_username")
_FIELDS: Final = "fields"
AUDIT: Final = "resolverd.audit"
"""The logger of changes that people make."""


def decision(logger: logging.Logger, fields: Mapping[str, str | int | float]) -> None:
    """Log one decision. Known fields: those of `_POSTGREY_ORDER`, and ``queue_id``, which stands in front."""
    logger.info("decision", extra={_FIELDS: fields})


def configure(level: str, form: str, ident: str, stream: TextIO, *, privacy_key: bytes = b"") -> None:
    """Send our log lines and those of the libraries to `stream`, in one of `FORMATS`; with a key, personal fields are hashed."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter(form, ident, journal="JOURNAL_STREAM" in os.environ, privacy_key=privacy_key))
    for name in ("resolverd", "asyncio", "aiohttp"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level.upper() if name == "resolverd" else logging.WARNING)
        logger.propagate = False
    # Who changed what is told whatever else is not.
    logging.getLogger(AUDIT).setLevel(logging.INFO)


class LineFormatter(logging.Formatter):
    """One line a record, whatever it holds; a traceback is folded into it."""

    def __init__(self, form: str, ident: str, *, journal: bool = False, privacy_key: bytes = b""):
        super().__init__()
        self._render = {"postgrey": self._classic, "logfmt": self._logfmt, "json": self._json}[form]
        self._tag = f"{socket.gethostname()} {ident}[{os.getpid()}]:"
        self._journal = journal
        self._privacy_key = privacy_key

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        fields: Mapping[str, Any] | None = getattr(record, _FIELDS, None)
        if fields is not None and self._privacy_key:
            fields = {name: self._hashed(value) if name in _PERSONAL else value for name, value in fields.items()}
        message = "" if fields is not None else record.getMessage()
        if record.exc_info:
            message = f"{message} | {self.formatException(record.exc_info)}"
        line = self._render(record, message, fields)
        if self._journal:
            return f"<{next(number for level, number in _PRIORITIES if record.levelno >= level)}>{line}"
        return line

    def _classic(self, record: logging.LogRecord, message: str, fields: Mapping[str, Any] | None) -> str:
        text = one_line(message) if fields is None else postgrey(fields)
        if record.levelno >= logging.WARNING:
            text = f"{record.levelname.lower()}: {text}"
        return text if self._journal else f"{_time(record)} {self._tag} {text}"

    def _logfmt(self, record: logging.LogRecord, message: str, fields: Mapping[str, Any] | None) -> str:
        head = {} if self._journal else {"time": _time(record)}
        return logfmt({**head, "level": record.levelname.lower(), **({"message": message} if fields is None else fields)})

    def _json(self, record: logging.LogRecord, message: str, fields: Mapping[str, Any] | None) -> str:
        head = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name}
        return json.dumps({**head, **({"message": message} if fields is None else fields)})

    def _hashed(self, value: object) -> str:
        text = str(value).lower().encode("utf-8", "replace")
        return hmac.new(self._privacy_key, text, hashlib.sha256).hexdigest()[:16] if text else ""


def postgrey(fields: Mapping[str, Any]) -> str:
    """Postgrey's line: ``[QUEUEID: ]action=…, reason=…, …``; empty fields are left out, ours follow in their order.

    Blanks within a value become ``_``, or a quoted local part could forge further fields.
    """
    queue_id = fields.get("queue_id")
    names = [*_POSTGREY_ORDER, *(name for name in fields if name not in _POSTGREY_ORDER and name != "queue_id")]
    parts = [f"{name}={_value(name, fields[name])}" for name in names if fields.get(name) not in (None, "")]
    return (f"{one_line(str(queue_id))}: " if queue_id else "") + ", ".join(parts)


def _value(name: str, value: object) -> str:
    text = one_line(str(value))
    return text if name in ("reason", "note") else text.replace(" ", "_")


def logfmt(fields: Mapping[str, Any]) -> str:
    """``key=value`` pairs; values with blanks, quotes or ``=`` are quoted."""
    parts = []
    for name, value in fields.items():
        text = one_line(str(value))
        if not text or any(char in text for char in ' "=\\'):
            text = json.dumps(text, ensure_ascii=False)
        parts.append(f"{name}={text}")
    return " ".join(parts)


def one_line(text: str) -> str:
    """Without line ends, terminal escapes and other control characters: strangers write parts of what is logged."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\\n" if char == "\n" else "?" for char in text)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="microseconds")
