"""From octets to lines, and from a line to its clock, its program and what that says."""

from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

from resolverd import bounds
from resolverd.ops.maillog.stamps import Stamps

_SERVICES: Final = frozenset((
    "anvil", "bounce", "cleanup", "defer", "discard", "dnsblog", "error", "flush", "lmtp", "local", "master", "oqmgr", "pickup",
    "pipe", "postdrop", "postfix-script", "postlogd", "postscreen", "proxymap", "qmgr", "relay", "retry", "scache", "showq",
    "smtp", "smtpd", "spawn", "tlsmgr", "tlsproxy", "trace", "trivial-rewrite", "verify", "virtual",
))  # fmt: skip
"""Postfix's programs, by which an instance is known that is not called postfix."""
_TAGS: Final = 256
"""Tags remembered: a log has as many as programs write to it."""


class Stream(Protocol):
    """What lines come from."""

    def readline(self, size: int = -1, /) -> bytes:
        """Up to `size` octets of a line, its end included; none at the stream's end."""
        ...


class Tag(NamedTuple):
    """Who wrote a line. `service`: smtpd, qmgr, …; ``ours`` for decisions, Postgrey's included; ``""`` for everybody else."""

    instance: str
    service: str


_NOBODY: Final = Tag("", "")
OURS: Final = Tag("", "ours")


def cut(stream: Stream) -> Iterator[bytes]:
    """The lines of a stream, without their ends. Of one that is longer than bounds.LOG_LINE the beginning is given."""
    whole = True
    while line := stream.readline(bounds.LOG_LINE):
        if whole:
            yield line
        whole = line.endswith(b"\n")


class Lines:
    """Splits lines. `idents`: the tags that our own daemon logs with, beside ``postgrey``."""

    def __init__(self, stamps: Stamps, idents: frozenset[str]) -> None:
        self.stamps = stamps
        """May be another from file to file."""
        self.idents = idents | {"postgrey"}
        self._tags: dict[str, Tag] = {}

    def split(self, line: str) -> tuple[int, Tag, str] | None:
        """Clock, writer and text; None: not a line of a log, or nobody's of whom anything is read."""
        if line[15:16] == " " and line[3:4] == " ":
            stamp = self.stamps.classic(line)
            _, _, rest = line[16:].partition(" ")
        elif line[10:11] == "T" and line[4:5] == "-":
            stamp = self.stamps.iso(line)
            rest = line.split(" ", 2)[-1]
        else:
            return self._bare(line)
        if stamp is None:
            return None
        # Of a tag, whoever it is. Strangers' words begin behind it.
        name, colon, text = rest.partition(": ")
        name = name.partition("[")[0]
        tag = self._tags.get(name)
        if tag is None:
            if len(self._tags) >= _TAGS:
                self._tags.clear()
            tag = self._tags[name] = self._tag(name)
        if not colon or not tag.service:
            return None
        if text.startswith("[ID "):
            # (Solaris' message ids, RFC 3164 knows nothing of them)
            text = text.partition("] ")[2]
        return stamp, tag, text

    def _bare(self, line: str) -> tuple[int, Tag, str] | None:
        """A line that brings its own clock: our daemon's on stderr, as logfmt or JSON."""
        if line.startswith("time="):
            stamp = self.stamps.iso(line[5:24])
        elif line.startswith('{"time": "'):
            stamp = self.stamps.iso(line[10:29])
        else:
            return None
        return None if stamp is None else (stamp, OURS, line)

    def _tag(self, name: str) -> Tag:
        if name in self.idents:
            return OURS
        instance, slash, service = name.rpartition("/")
        if not slash or " " in name:
            return _NOBODY
        if service in _SERVICES or instance.startswith("postfix"):
            return Tag(instance.partition("/")[0], service)
        return _NOBODY
