"""A mail log read: lines in, records out, without IO.

`Reader` takes the lines of syslog files and of ``journalctl -o short-iso`` in their order: Postfix's (whatever its instances
and services are called), Postgrey's, and our own in all three forms. Each that says something about mail becomes a record::

    reader = Reader(now=…)                          # local wall clock, see `stamps.seconds_of`
    for record in reader.read(cut(stream)):         # `cut`: a stream's lines, none longer than bounds.LOG_LINE
        match record:
            case Rejection(): …

- `records`: Connection, Received, Queued, Delivery, Rejection, Decision, Pregreet, AuthFailure, LostConnection, Trouble
- `stamps`: the clock of a line   - `lines`: from octets to program and text   - `postfix`, `decisions`: what the text says
- `reader`: the whole of it, and the queue ids between the lines of one message

Nothing that stands in a log raises; lines of which no record came are counted in `Reader.skipped`. Strangers write parts of
the lines (HELO, sender, the names of their clients). A line's program, its client's address and the code of a reply are
Postfix's, and are never taken from behind a stranger's words. Where those make it uncertain who is meant, a field is ``""``,
which is unknown.
"""

from resolverd.ops.maillog.lines import cut
from resolverd.ops.maillog.reader import Reader
from resolverd.ops.maillog.records import (
    AuthFailure,
    Connection,
    Decision,
    Delivery,
    LostConnection,
    Pregreet,
    Queued,
    Received,
    Record,
    Rejection,
    Trouble,
)

__all__ = [
    "AuthFailure", "Connection", "Decision", "Delivery", "LostConnection", "Pregreet", "Queued", "Reader", "Received", "Record",
    "Rejection", "Trouble", "cut",
]  # fmt: skip
