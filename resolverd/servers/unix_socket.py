"""UNIX sockets that have a name in the file system: bound with their permissions, taken over from the dead, and whose they are.

A path of a UNIX socket has 107 octets at the most (unix(7)), fewer than many a directory's. So the directory is opened, and the
name looked up in it through /proc, which makes any path short enough.
"""

import errno
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

_CREDENTIALS = struct.Struct("3i")
"""Process, user and group of the other side (``struct ucred``, unix(7))."""


class HasOptions(Protocol):
    """A socket, or what an event loop gives in place of it."""

    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes:
        """As `socket.socket` has it."""
        ...


def bind(path: Path, mode: int) -> socket.socket:
    """A stream socket on that path, with these permissions from the first moment; in place of one that nobody serves any more.

    Raises OSError: EADDRINUSE where somebody listens there, or where anything but a socket stands.
    """
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        # The file has the socket's own permissions, less the umask; what that took away is given back behind it.
        os.fchmod(sock.fileno(), mode)
        with _short(path) as where:
            sock.bind(where)
        path.chmod(mode)
    except BaseException:
        sock.close()
        raise
    return sock


def connect(path: Path, timeout: float) -> socket.socket:
    """A connection to whoever listens on that path, for which it waits so many seconds at the most. Raises OSError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        with _short(path) as where:
            sock.connect(where)
    except BaseException:
        sock.close()
        raise
    return sock


def peer_user(sock: HasOptions) -> int:
    """The user id of the other side: of who connected, or of who listened. Raises OSError."""
    octets = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    user: int = _CREDENTIALS.unpack(octets)[1]
    return user


@contextmanager
def _short(path: Path) -> Iterator[str]:
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def _remove_stale(path: Path) -> None:
    """Remove a socket file that nobody listens on; anything else there stays, and binding fails with its reason."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return
    except OSError:
        return
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    probe.setblocking(False)
    try:
        with _short(path) as where:
            probe.connect(where)
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
    except OSError:
        pass
    else:
        raise OSError(errno.EADDRINUSE, "somebody listens there already", os.fspath(path))
    finally:
        probe.close()
