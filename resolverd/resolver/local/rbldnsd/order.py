"""Sorting rows of octets without holding the interpreter for long.

A list is read beside the event loop, in a thread; one `sorted` over a million rows would keep the loop from turning for
as long as it takes, since nothing interrupts it. Slices are sorted one by one, and merged row by row.
"""

from collections.abc import Iterator
from heapq import merge

_SLICE = 1 << 13
"""Rows sorted at once: a few milliseconds."""


def in_order(rows: bytes | bytearray, width: int) -> Iterator[bytes]:
    """The rows, each of `width` octets, in ascending order."""
    runs: list[list[bytes]] = []
    last = b""
    for begin in range(0, len(rows), _SLICE * width):
        end = min(begin + _SLICE * width, len(rows))
        part = sorted(bytes(rows[at : at + width]) for at in range(begin, end, width))
        # Most files are in order, or nearly: what goes on where the run before it ended needs no merging.
        if not runs or part[0] < last:
            runs.append([])
        runs[-1].append(b"".join(part))
        last = part[-1]
    return merge(*(_rows(run, width) for run in runs)) if len(runs) > 1 else _rows(runs[0] if runs else [], width)


def _rows(parts: list[bytes], width: int) -> Iterator[bytes]:
    for part in parts:
        for at in range(0, len(part), width):
            yield part[at : at + width]
