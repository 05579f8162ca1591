"""Log lines: plain ones, and one a decision in the form that the admin's reports read.

``postgrey``  ``action=greylist, reason=new, client_name=…``: what Postgrey 1.37 logs, our own fields behind it
``logfmt``    ``key=value`` pairs, quoted where needed
``json``      one object a line

Everything goes to one stream. A line has time, host and tag in front as a syslog file has them, or, where the journal
or syslog reads the stream and adds those itself, only the priority (sd-daemon(3)).

Strangers write parts of what is logged: HELO, sender, the names that their DNS has, and what lists say of them. None of it
ends a line, and none of it can be taken for a field: ``logfmt`` and ``json`` quote it; in Postgrey's form, which has no
quoting, a comma within a value becomes another character, as does an equals sign behind the name of a field, in whatever line.
"""

import json
import logging
import os
import re
import socket
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, TypeAlias

from resolverd import bounds
from resolverd.log_writer import LogWriter, Stream
from resolverd.metrics import Counters
from resolverd.pseudonyms import Pseudonyms
from resolverd.syslog import SyslogStream

FORMATS: Final = ("postgrey", "logfmt", "json")
_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))
_OPEN: Final = frozenset(
    ("action", "delay", "score", "codes", "id", "ms", "partial", "audit", "scope", "since", "until", "from_id", "host")
)
"""Fields that name nobody."""
_FREE: Final = ("reason", "note", "owner")
"""Fields of several words."""
_FORGEABLE: Final = re.compile(r"(action|reason|delay|client_name|client_address|sender|recipient|helo_name|queue_id)=")
_UNLIKE_FIELDS: Final = str.maketrans({",": ";", "=": ":"})
_ONE_WORD: Final = str.maketrans({" ": "_", ",": "_"})
_QUEUE_ID: Final = re.compile(r"[\w-]{1,64}", re.ASCII)
_WORDLESS: Final = "wordless"
_LAST: Final = "last"
_PUBLIC: Final = "public"
OPENLY: Final[Mapping[str, object]] = {_PUBLIC: True}
"""`extra` of lines in which stands nothing but the configuration."""
AUDIT: Final = "resolverd.audit"
"""The logger of changes that people make."""
AUDIT_FIELDS: Final = ("audit", "subject", "scope", "to", "temporary", "since", "until", "owner", "note", "from_id")
"""What is told of a change; of one on another host of the fleet also ``host``, its name, and ``at``, the wall second."""


Fields: TypeAlias = Mapping[str, str | int | float]
"""What a decision's line says, by name."""
Later: TypeAlias = Callable[[bool], Fields]
"""Makes the fields of a decision when its line is written. True: the line is to name nobody, so that what strangers have written
in words of their own has something else in its place."""


class _Decision(logging.LogRecord):
    """A decision, whose line is made when it is written. Where in the code, thread and process it was is not asked."""

    def __init__(self, name: str, later: Later) -> None:
        self.__dict__.update(_ANY_DECISION)
        self.name = name
        self.created = time.time()
        self.later = later


_ANY_DECISION: Final = logging.LogRecord("", logging.INFO, "", 0, "decision", (), None).__dict__


def decision(logger: logging.Logger, fields: Fields) -> None:
    """Log one decision. Its fields stand in their order; in Postgrey's form ``queue_id`` is in front of them."""
    decision_later(logger, lambda nameless: fields)


def audit(fields: Fields) -> None:
    """Log a change that somebody has made, whatever else is not logged; the names of `fields` are of `AUDIT_FIELDS`."""
    decision(logging.getLogger(AUDIT), fields)


def decision_later(logger: logging.Logger, later: Later) -> None:
    """The same, where the fields are made when the line is written: by a thread, of what changes no more. It must not raise."""
    if logger.isEnabledFor(logging.INFO):
        logger.handle(_Decision(logger.name, later))


def bug(
    logger: logging.Logger,
    counters: Counters,
    where: str,
    text: str,
    *args: object,
    error: BaseException,
    private: bool = False,
) -> None:
    """What the failure table (`failures`) has for a bug: one line with its traceback, one count of ``bugs``.

    `where` is one of a closed set. `text` and `args` as those of any log line. `private`: the error's own words, in which a
    key may stand, are left out.
    """
    counters.add("bugs", where=where)
    logger.error(text, *args, exc_info=error, extra={_WORDLESS: private})


def kind(error: BaseException) -> tuple[str, str, int]:
    """What two errors have in common that are the same bug: their class, and the file and line that raised them."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return type(error).__qualname__, at.tb_frame.f_code.co_filename if at else "", at.tb_lineno if at else 0


def configure(level: str, form: str, ident: str, stream: Stream, *, pseudonyms: Pseudonyms | None = None) -> None:
    """Send our log lines and those of the libraries to `stream`, in one of `FORMATS`; with `pseudonyms` they name nobody.

    Called again, it changes what comes from then on. They are written by `log_writer`; `logging.shutdown` writes the last.
    """
    before = next((each for each in logging.getLogger("resolverd").handlers if isinstance(each, LogWriter)), None)
    handler = before if before is not None and before.stream is stream else LogWriter(stream)
    handler.filters[:] = [_Repeated()]
    headed = "JOURNAL_STREAM" in os.environ or isinstance(stream, SyslogStream)
    handler.setFormatter(LineFormatter(form, ident, journal=headed, pseudonyms=pseudonyms))
    for name in ("resolverd", "asyncio", "aiohttp"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level.upper() if name == "resolverd" else logging.WARNING)
        logger.propagate = False
    if before is not None and before is not handler:
        before.close()
    # Who changed what is logged whatever else is not.
    logging.getLogger(AUDIT).setLevel(logging.INFO)


class WarnOnce:
    """Warns of what others have written: once of each thing, and of `bounds.WARNED_OF` at the most. Counters tell how many."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._told: set[tuple[str, object]] = set()

    def __call__(self, text: str, about: object) -> None:
        """`text` as for the logger, with a place for what it is about."""
        if len(self._told) < bounds.WARNED_OF and (text, about) not in self._told:
            self._told.add((text, about))
            self._log.warning(text, about)


class _Repeated(logging.Filter):
    """Lets so many tracebacks of one kind through: whoever has found a packet that meets a bug may send it all day."""

    def __init__(self) -> None:
        super().__init__()
        self._logged: OrderedDict[tuple[str, str, int], tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this record is logged."""
        if not record.exc_info or (error := record.exc_info[1]) is None:
            return True
        which = kind(error)
        since, count = self._logged.pop(which, (record.created, 0))
        if not 0 <= record.created - since < bounds.BUG_PAUSE:
            since, count = record.created, 0
        self._logged[which] = since, count + 1
        if len(self._logged) > bounds.BUG_KINDS:
            self._logged.popitem(last=False)
        if count + 1 == bounds.BUG_LINES:
            setattr(record, _LAST, True)
        return count < bounds.BUG_LINES


class LineFormatter(logging.Formatter):
    """One line a record, whatever it holds; a traceback is folded into it."""

    def __init__(self, form: str, ident: str, *, journal: bool = False, pseudonyms: Pseudonyms | None = None):
        super().__init__()
        self._render = {"postgrey": self._classic, "logfmt": self._logfmt, "json": self._json}[form]
        self._tag = f"{socket.gethostname()} {ident}[{os.getpid()}]:"
        self._journal = journal
        self._pseudonyms = pseudonyms

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        fields = record.later(self._pseudonyms is not None) if isinstance(record, _Decision) else None
        message = "" if fields is not None else record.getMessage()
        if self._pseudonyms is not None and not hasattr(record, _PUBLIC):
            message = self._pseudonyms.text(message)
            if fields is not None:
                fields = _nameless(fields, self._pseudonyms)
        if record.exc_info and (error := record.exc_info[1]) is not None:
            nameless = self._pseudonyms is not None or getattr(record, _WORDLESS, False)
            trace = _nameless_traceback(error) if nameless else self.formatException(record.exc_info)
            more = "; more of this kind are counted and not logged for a while" if hasattr(record, _LAST) else ""
            message = f"{message}{more} | {trace}"
        line = self._render(record, message, fields)
        if self._journal:
            return f"<{next(number for level, number in _PRIORITIES if record.levelno >= level)}>{line}"
        return line

    def _classic(self, record: logging.LogRecord, message: str, fields: Fields | None) -> str:
        text = _FORGEABLE.sub(r"\1:", one_line(message)) if fields is None else postgrey(fields)
        if record.levelno >= logging.WARNING:
            text = f"{record.levelname.lower()}: {text}"
        return text if self._journal else f"{_time(record)} {self._tag} {text}"

    def _logfmt(self, record: logging.LogRecord, message: str, fields: Fields | None) -> str:
        head = {} if self._journal else {"time": _time(record)}
        return logfmt({**head, "level": record.levelname.lower(), **({"message": message} if fields is None else fields)})

    def _json(self, record: logging.LogRecord, message: str, fields: Fields | None) -> str:
        head = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name}
        return json.dumps({**head, **({"message": message} if fields is None else fields)})


def _nameless(fields: Fields, pseudonyms: Pseudonyms) -> Fields:
    """The fields of a line that names nobody; one that nobody has thought of is hashed."""
    shown: dict[str, str | int | float] = {}
    for name, value in fields.items():
        if name in _OPEN or not isinstance(value, str) or (name == "queue_id" and _QUEUE_ID.fullmatch(value)):
            shown[name] = value
        else:
            shown[name] = pseudonyms.text(value) if name in _FREE else pseudonyms.of(value)
    return shown


def _nameless_traceback(error: BaseException) -> str:
    """Where it went wrong, and of the exceptions only what they are: their words may be anybody's."""
    parts = []
    chain: BaseException | None = error
    seen: set[int] = set()
    while chain is not None and id(chain) not in seen:
        seen.add(id(chain))
        frames = "".join(traceback.format_tb(chain.__traceback__)).rstrip()
        parts.append(f"{frames}\n{type(chain).__qualname__}" if frames else type(chain).__qualname__)
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)
    return "\n".join(reversed(parts))


def postgrey(fields: Fields) -> str:
    """Postgrey's line: ``[QUEUEID: ]action=…, reason=…, …``; empty fields are left out."""
    queue_id = str(fields.get("queue_id") or "")
    if queue_id and not _QUEUE_ID.fullmatch(queue_id):
        queue_id = re.sub(r"[^\w-]", "_", queue_id, flags=re.ASCII)[:64]
    parts = [f"{name}={value}" for name, value in fields.items() if value not in (None, "") and name != "queue_id"]
    line = ", ".join(parts)
    if not _is_plain(line, len(parts), fields):
        shown = [(name, value) for name, value in fields.items() if value not in (None, "") and name != "queue_id"]
        line = ", ".join([f"{name}={_value(name, value)}" for name, value in shown])
    return f"{queue_id}: {line}" if queue_id else line


def _is_plain(line: str, parts: int, fields: Fields) -> bool:
    """Whether a line has commas, blanks and ``=`` only where they separate its parts, or as words have them."""
    if not line.isprintable() or line.count("=") != parts or line.count(",") != parts - 1:
        return False
    return line.count(" ") == parts - 1 + sum([str(fields[name]).count(" ") for name in _FREE if name in fields])


def _value(name: str, value: object) -> str:
    """A value as a parser that goes by commas, blanks or names finds it whole; ``=`` stays where addresses have it
    (``SRS0=…``, ``prvs=…``)."""
    text = one_line(str(value))
    if name in _FREE:
        return text.translate(_UNLIKE_FIELDS) if "," in text or "=" in text else text
    if " " in text or "," in text:
        text = text.translate(_ONE_WORD)
    return _FORGEABLE.sub(r"\1_", text) if "=" in text else text


def logfmt(fields: Mapping[str, Any]) -> str:
    """``key=value`` pairs; values with blanks, quotes or ``=`` are quoted. Whoever looks for a field without minding the
    quotation marks is not misled either."""
    parts = []
    for name, value in fields.items():
        text = _FORGEABLE.sub(r"\1:", one_line(str(value)))
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
    second = int(record.created)
    time_of_day, offset = _second(second)
    return f"{time_of_day}.{int((record.created - second) * 1_000_000):06d}{offset}"


@lru_cache(1)
def _second(second: int) -> tuple[str, str]:
    """Local time to the second, and its distance from UTC."""
    text = datetime.fromtimestamp(second).astimezone().isoformat()
    return text[:19], text[19:]
