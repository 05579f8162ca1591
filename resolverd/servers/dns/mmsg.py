"""Datagrams received and sent in batches by recvmmsg(2) and sendmmsg(2): a system call a batch, and no object a client.

What the kernel reads and writes lies at fixed places, as <sys/socket.h> has it: for each slot a header that points to the
client's address, to control data (the address that was asked), and to the datagram's octets. A reply is written over its
datagram, behind the ID, and the same header sends it: where it goes has not to be read and written again.
"""

import ctypes
import mmap
import os
import socket
import sys
from array import array
from collections.abc import Iterable, Sequence
from functools import cache
from struct import Struct, calcsize
from typing import Any, Final

from resolverd import bounds
from resolverd.servers.dns.datagrams import DATAGRAM, INTERFACE, IP_PKTINFO, is_link_local, tell

_HEADER = Struct("@PIPNPNi0PI0P")
"""struct mmsghdr: name and its length, vector and its length, control data and their length, flags; octets received."""
_NAME_LENGTH, _CONTROL_LENGTH, _RECEIVED = calcsize("@P"), calcsize("@PIPNP"), calcsize("@PIPNPNi0P")
_VECTOR = Struct("@PN")
_CONTROL = 64
"""Octets for control data in each slot; and for an address, of which each family has its own length."""
_NAME = 32
_NAMES = {socket.AF_INET: (16, 4, 4), socket.AF_INET6: (28, 8, 16)}
"""Octets of a socket address; where the address itself begins in it, and its octets."""
_PKTINFO = {
    socket.AF_INET: (socket.IPPROTO_IP, IP_PKTINFO, 12),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, 20),
}
"""Level, type and octets of the control data that tell the address that was asked (ip(7), RFC 3542 §6)."""
_INFO = socket.CMSG_LEN(0)
"""Where they begin in a slot's."""
_STRIDE = DATAGRAM + 192
"""From slot to slot: no power of two, or all slots would share a few lines of the processor's cache."""


class MmsgBatch:
    """One system call a batch. Raises OSError or AttributeError where there are no such calls."""

    def __init__(self, sock: socket.socket, wildcard: bool):
        self._sock = sock
        self._family = sock.family
        self._wildcard = wildcard
        libc = ctypes.CDLL(None, use_errno=True)
        self._recvmmsg, self._sendmmsg = libc.recvmmsg, libc.sendmmsg
        self._recvmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]
        self._sendmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]
        slots: Final = bounds.UDP_BATCH
        self._octets = mmap.mmap(-1, slots * _STRIDE)
        self._names = bytearray(slots * _NAME)
        self._controls = bytearray(slots * _CONTROL)
        vectors, headers = bytearray(slots * _VECTOR.size), bytearray(slots * _HEADER.size)
        octets, names, controls, vector = (_address(each) for each in (self._octets, self._names, self._controls, vectors))
        name = _NAMES[self._family][0]
        control = socket.CMSG_SPACE(_PKTINFO[self._family][2]) if wildcard else 0
        for slot in range(slots):
            _VECTOR.pack_into(vectors, slot * _VECTOR.size, octets + slot * _STRIDE, DATAGRAM)
            _HEADER.pack_into(
                headers, slot * _HEADER.size, names + slot * _NAME, name, vector + slot * _VECTOR.size, 1,
                controls + slot * _CONTROL if wildcard else 0, control, 0, 0,
            )  # fmt: skip
        self._slots = slots
        self._headers = _address(headers)
        self._begins = [(slot * _STRIDE, slot * _STRIDE + 2) for slot in range(slots)]
        """Where the slots' datagrams begin, and what is behind their IDs."""
        self._lengths: list[int] = []
        self._received = memoryview(headers).cast("I")[_RECEIVED // 4 :: _HEADER.size // 4]
        word = calcsize("L")
        self._sizes = memoryview(vectors).cast("L")[1::2]
        self._control_sizes = memoryview(headers).cast("L")[_CONTROL_LENGTH // word :: _HEADER.size // word]
        self._interfaces = memoryview(self._controls).cast("I")[(_INFO + INTERFACE[self._family]) // 4 :: _CONTROL // 4]
        self._no_interfaces = memoryview(array("I", [0] * slots))
        self._empty_sizes = memoryview(array("L", [DATAGRAM] * slots))
        self._empty_control_sizes = memoryview(array("L", [control] * slots))
        for refused in (self._recvmmsg(sock.fileno(), None, 0, 0, None), self._sendmmsg(sock.fileno(), None, 0, 0)):
            if refused:
                raise _error()

    def receive(self) -> Iterable[tuple[int, bytes, bytes]]:
        """As `Batch`."""
        self._sizes[:] = self._empty_sizes
        if self._wildcard:
            self._control_sizes[:] = self._empty_control_sizes
        count = self._recvmmsg(self._sock.fileno(), self._headers, self._slots, socket.MSG_DONTWAIT, None)
        if count <= 0:
            tell(_error())
            return ()
        if self._wildcard:
            self._forget_interfaces(count)
        self._lengths = lengths = self._received[:count].tolist()
        octets = self._octets
        questions = [octets[behind : begin + length] for (begin, behind), length in zip(self._begins, lengths, strict=False)]
        return zip(range(count), _format(self._family, count).unpack_from(self._names), questions, strict=True)

    def _forget_interfaces(self, count: int) -> None:
        """Leave to routing by which interface the replies go."""
        if self._family == socket.AF_INET6 and 0xFE in self._controls[_INFO::_CONTROL]:
            for slot in range(count):
                begin = slot * _CONTROL + _INFO
                if not is_link_local(self._controls[begin : begin + 2]):
                    self._interfaces[slot] = 0
        else:
            self._interfaces[:] = self._no_interfaces

    def packet(self, slot: int) -> bytes:
        """As `Batch`."""
        begin, _ = self._begins[slot]
        return self._octets[begin : begin + self._lengths[slot]]

    def client(self, slot: int) -> Any:
        """As `Batch`."""
        length, begin, octets = _NAMES[self._family]
        name = self._names[slot * _NAME : slot * _NAME + length]
        host = socket.inet_ntop(self._family, name[begin : begin + octets])
        port = int.from_bytes(name[2:4])
        if self._family == socket.AF_INET:
            return host, port
        return host, port, int.from_bytes(name[4:8]), int.from_bytes(name[24:28], sys.byteorder)

    def source(self, slot: int) -> list[Any] | None:
        """As `Batch`."""
        if not self._wildcard:
            return None
        level, kind, length = _PKTINFO[self._family]
        begin = slot * _CONTROL + _INFO
        return [(level, kind, bytes(self._controls[begin : begin + length]))]

    def send(self, replies: Sequence[bytes | bytearray | None]) -> None:
        """As `Batch`."""
        octets, sizes, begins = self._octets, self._sizes, self._begins
        first = 0
        for slot, reply in enumerate(replies):
            if reply is None:
                self._send(first, slot)
                first = slot + 1
            else:
                size = len(reply)
                _, behind = begins[slot]
                octets[behind : behind + size] = reply
                sizes[slot] = size + 2
        self._send(first, len(replies))

    def _send(self, first: int, end: int) -> None:
        """Send the replies in these slots. One that cannot be sent keeps none behind it waiting."""
        while first < end:
            sent = self._sendmmsg(self._sock.fileno(), self._headers + first * _HEADER.size, end - first, socket.MSG_DONTWAIT)
            if sent <= 0:
                tell(_error())
                sent = 1
            first += sent


@cache
def _format(family: int, count: int) -> Struct:
    _, begin, octets = _NAMES[socket.AddressFamily(family)]
    return Struct(f"{begin}x{octets}s{_NAME - begin - octets}x" * count)


def _address(memory: bytearray | mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
