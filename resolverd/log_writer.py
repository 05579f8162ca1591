"""Log lines written by a thread, many at once: nobody who logs waits for whoever reads the log.

What is logged waits, in order, for `PAUSE` seconds at the most, and is written with all that came meanwhile. Behind a pipe that
nobody empties a bounded number of lines waits; what comes beyond is counted, and said once there is room again.
"""

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from threading import Event, Thread
from typing import Final, Protocol, TypeAlias

from resolverd import bounds

PAUSE: Final = 0.05
"""Seconds for which lines are collected."""
PATIENCE: Final = 2.0
"""Seconds that an ending process waits for its last lines to be taken."""
_SLICE: Final = 200
"""Lines of one write."""

_Line: TypeAlias = str | Callable[[], str] | Event


class Stream(Protocol):
    """What takes lines: a file, or what is like one."""

    def write(self, text: str, /) -> object:
        """Take this. Raises OSError or ValueError where it cannot."""
        ...

    def flush(self) -> object:
        """Hold nothing back. Raises as `write`."""
        ...


class LogWriter(logging.Handler):
    """Writes to a stream. A record that has a ``later`` is formatted when it is written, any other at once."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.stream = stream
        self._queue: deque[_Line] = deque()
        self._lost = 0
        self._woken = False
        self._closed = False
        self._wake = Event()
        self._hurry = Event()
        self._thread = Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Have it written."""
        try:
            if len(self._queue) >= bounds.LOG_LINES:
                self._lost += 1
                return
            if hasattr(record, "later"):
                self._queue.append(partial((self.formatter or _PLAIN).format, record))
            else:
                self._queue.append(self.format(record))
            if not self._woken:
                self._woken = True
                self._wake.set()
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Return when what has been logged so far is written, or nobody has taken it for `PATIENCE` seconds."""
        if not self._thread.is_alive():
            return
        written = Event()
        self._queue.append(written)
        self._hurry.set()
        self._wake.set()
        written.wait(PATIENCE)

    def close(self) -> None:
        """Flush, and end the thread."""
        if not self._closed:
            self.flush()
            self._closed = True
            self._hurry.set()
            self._wake.set()
            self._thread.join(PATIENCE)
        super().close()

    def _work(self) -> None:
        while not self._closed:
            self._wake.wait()
            self._hurry.wait(PAUSE)
            self._hurry.clear()
            self._wake.clear()
            self._woken = False  # before looking: what comes now wakes again
            self._write_all()

    def _write_all(self) -> None:
        queue, lines = self._queue, list[str]()
        while queue:
            line = queue.popleft()
            if isinstance(line, Event):
                self._write(lines)
                line.set()
                continue
            try:
                lines.append(line if isinstance(line, str) else line())
            except Exception as error:
                lines.append(self._note(f"a line could not be made: {type(error).__qualname__}"))
            if len(lines) == _SLICE:
                self._write(lines)
        self._write(lines)

    def _write(self, lines: list[str]) -> None:
        """Write the lines, and that others were lost; they are gone then, taken or not."""
        lost, self._lost = self._lost, 0
        if lost:
            lines.append(self._note(f"{lost} log lines were lost: nobody took them"))
        if not lines:
            return
        try:
            self.stream.write("\n".join(lines) + "\n")
            self.stream.flush()
        except (OSError, ValueError):  # closed at the other end, or at this
            self._lost += lost + len(lines) - bool(lost)
        lines.clear()

    def _note(self, text: str) -> str:
        record = logging.LogRecord(__name__, logging.WARNING, "", 0, text, (), None)
        return (self.formatter or _PLAIN).format(record)


_PLAIN: Final = logging.Formatter()
