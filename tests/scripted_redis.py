"""A server of Redis's protocol that says what no real one does: octets as they are given, on a port of loopback.

    with ScriptedRedis() as server:
        server.become({b"TIME": b"$-1\\r\\n"})       # else it answers as an empty server would
        server.become(greeting=lambda: [b"SSH-2.0-OpenSSH_9.2p1\\r\\n"])
        server.become()

`accepted` counts connections, `asked` commands by name.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

Answer: TypeAlias = bytes | Callable[[list[bytes]], Iterable[bytes]]
"""To a command: octets, or what makes pieces of them, perhaps without end."""
Greeting: TypeAlias = Callable[[], Iterable[bytes]]
"""What is said before anybody has asked, by who understands no command."""


def bulk(text: bytes) -> bytes:
    """A string as a reply."""
    return b"$%d\r\n%b\r\n" % (len(text), text)


def array(*replies: bytes) -> bytes:
    """A list of replies as one."""
    return b"*%d\r\n" % len(replies) + b"".join(replies)


def time_reply(ahead: float = 0.0) -> bytes:
    """What TIME says on a server whose clock is so many seconds ahead."""
    return array(bulk(b"%d" % (time.time() + ahead)), bulk(b"0"))


INFO = "redis_version:7.0.15\r\nrun_id:{run}\r\nused_memory:1000\r\nrole:master\r\n"


def info(run: str = "0" * 40) -> bytes:
    """What INFO says."""
    return bulk(INFO.format(run=run).encode())


def message(channel: bytes, text: bytes) -> bytes:
    """A message as it comes to who has subscribed."""
    return array(bulk(b"message"), bulk(channel), bulk(text))


def _evaluate(command: list[bytes]) -> list[bytes]:
    script = command[1]
    if b"string.format" in script:
        return [bulk(b"1")]
    if b"for i = 3" in script:
        return [array(*[b"$-1\r\n"] * (len(command) - 6))]
    return [b":1\r\n" if b"PUBLISH" in script or b"ARGV[9]" in script else b"$-1\r\n"]


def _subscribe(command: list[bytes]) -> list[bytes]:
    return [array(bulk(b"subscribe"), bulk(channel), b":1\r\n") for channel in command[1:]]


SANE: dict[bytes, Answer] = {
    b"TIME": lambda command: [time_reply()],
    b"INFO": info(),
    b"SET": b"+OK\r\n",
    b"DEL": b":1\r\n",
    b"CLIENT": b"+OK\r\n",
    b"AUTH": b"+OK\r\n",
    b"SELECT": b"+OK\r\n",
    b"GETRANGE": lambda command: [bulk(b"memory" if command[1].endswith(b":since") else b"")],
    b"EVAL": _evaluate,
    b"HLEN": b":0\r\n",
    b"HKEYS": b"*0\r\n",
    b"SCAN": array(bulk(b"0"), b"*0\r\n"),
    b"SUBSCRIBE": _subscribe,
    b"PING": array(bulk(b"pong"), bulk(b"")),
}
"""An empty server, which forgets what is written."""


class ScriptedRedis:
    """The server; a thread for each connection."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self.accepted = 0
        self.asked: Counter[bytes] = Counter()
        self._answers: Mapping[bytes, Answer] = SANE
        self._greeting: Greeting | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def become(self, answers: Mapping[bytes, Answer] | None = None, greeting: Greeting | None = None) -> None:
        """Be another one from now on: all connections end."""
        with self._lock:
            self._answers, self._greeting = {**SANE, **(answers or {})}, greeting
            self.cut()

    def cut(self) -> None:
        """End all connections."""
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()  # from then on no thread begins
        self.cut()

    def __enter__(self) -> ScriptedRedis:
        return self

    def __exit__(self, *why: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.accepted += 1
                self._open.add(connection)
                work = self._speak(connection, self._answers, self._greeting)
            threading.Thread(target=work, daemon=True).start()

    def _speak(
        self, connection: socket.socket, answers: Mapping[bytes, Answer], greeting: Greeting | None
    ) -> Callable[[], None]:
        def speak() -> None:
            with contextlib.suppress(OSError, ValueError), connection:
                if greeting is not None:
                    for piece in greeting():
                        connection.sendall(piece)
                    while connection.recv(1 << 16):
                        pass
                else:
                    self._answer(connection, answers)
            with self._lock:
                self._open.discard(connection)

        return speak

    def _answer(self, connection: socket.socket, answers: Mapping[bytes, Answer]) -> None:
        with connection.makefile("rb") as file:
            while line := file.readline():
                command = []
                for _ in range(int(line[1:])):
                    size = int(file.readline()[1:])
                    command.append(file.read(size + 2)[:-2])
                name = command[0].upper()
                self.asked[name] += 1
                answer = answers.get(name, b"-ERR unknown command\r\n")
                for piece in [answer] if isinstance(answer, bytes) else answer(command):
                    connection.sendall(piece)


def endlessly(*pieces: bytes, first: bytes = b"") -> Callable[..., Iterable[bytes]]:
    """An answer, or a greeting, that has no end; it ends with its connection."""

    def answer(command: list[bytes] | None = None) -> Iterable[bytes]:
        if first:
            yield first
        while True:
            yield from pieces

    return answer


def slowly(text: bytes, seconds: float) -> Callable[..., Iterable[bytes]]:
    """The same, an octet every so many seconds."""

    def answer(command: list[bytes] | None = None) -> Iterable[bytes]:
        for octet in re.findall(b".", text, re.DOTALL):
            time.sleep(seconds)
            yield octet

    return answer
