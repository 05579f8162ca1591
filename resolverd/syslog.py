"""The machine's syslog as a stream of lines: each a datagram to ``/dev/log`` with facility and priority (RFC 3164, syslog(3)).

Where nobody takes them, they go to stderr instead, and the next ones are tried again: a syslog daemon is restarted at times.
"""

import os
import re
import socket
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Final

MAIL: Final = 2
"""The facility LOG_MAIL, whose lines Debian's rsyslog has in mail.log."""
SOCKET: Final = Path("/dev/log")
_INFO: Final = 6
_PRIORITY: Final = re.compile(r"<([0-7])>")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""In the English that syslog speaks, whatever the locale."""


class SyslogStream:
    """Takes text as a stream does; lines begin with their priority (``<6>``), those that don't go on with the one before."""

    def __init__(self, ident: str, facility: int = MAIL, path: Path = SOCKET) -> None:
        self._tag = f"{ident}[{os.getpid()}]:"
        self._facility = facility
        self._path = path
        self._socket: socket.socket | None = None

    def write(self, text: str) -> None:
        """Send each line. Blocks while a syslog daemon that is there takes none; never raises for one that is not."""
        priority = _INFO
        for line in text.rstrip("\n").split("\n"):
            if found := _PRIORITY.match(line):
                priority, line = int(found[1]), line[found.end() :]
            moment = time.localtime()
            when = f"{_MONTHS[moment.tm_mon - 1]} {moment.tm_mday:2d} {time.strftime('%H:%M:%S', moment)}"
            if not self._send(f"<{self._facility << 3 | priority}>{when} {self._tag} {line}".encode("utf-8", "replace")):
                sys.stderr.write(f"{line}\n")

    def flush(self) -> None:
        """Nothing is held back here, but on stderr."""
        sys.stderr.flush()

    def close(self) -> None:
        """Let the connection go; the next line makes one again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, octets: bytes) -> bool:
        """Whether it was taken, over the connection there is or a new one."""
        for _ in range(2):
            try:
                if self._socket is None:
                    self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                    self._socket.connect(str(self._path))
                self._socket.send(octets)
            except OSError:
                self.close()
            else:
                return True
        return False


@lru_cache(1)
def mail_log(ident: str) -> SyslogStream:
    """The stream of facility mail under this name, the same one for the same name."""
    return SyslogStream(ident)
