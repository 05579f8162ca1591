"""What a target is, and what is held against each: no exception but its surface's own, and bounded time."""

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple


class TooSlow(AssertionError):
    """An input costs more processor time than its target may."""


class Target(NamedTuple):
    """A surface.

    `run` takes an input and raises for whatever is a fault; the errors that the surface is to raise it has caught. `seeds`:
    inputs to begin with. `limit`: the processor time in seconds that an input of so many octets may take. `longest`: octets of
    an input that guided fuzzing makes. `libraries`: those whose code counts as reached, beside ours.
    """

    name: str
    run: Callable[[bytes], object]
    seeds: Callable[[], Iterable[bytes]]
    limit: Callable[[int], float]
    longest: int = 4096
    libraries: tuple[str, ...] = ()


TARGETS: dict[str, Target] = {}
"""By name; `targets` fills it."""


def packet_limit(octets: int) -> float:
    """5 ms for what comes over UDP, 50 ms for what comes over TCP."""
    return 0.005 if octets <= 1232 else 0.05


def target(
    seeds: Callable[[], Iterable[bytes]],
    limit: float | Callable[[int], float],
    longest: int = 4096,
    libraries: tuple[str, ...] = (),
) -> Callable[[Callable[[bytes], object]], Callable[[bytes], object]]:
    """Make a function a target of its own name; `limit` in seconds of processor time."""

    def add(run: Callable[[bytes], object]) -> Callable[[bytes], object]:
        allowed = limit if callable(limit) else lambda octets: limit
        TARGETS[run.__name__] = Target(run.__name__, run, seeds, allowed, longest, libraries)
        return run

    return add


def check(target: Target, data: bytes, slack: float = 1.0) -> None:
    """Run an input. Raises what `run` does, and TooSlow if the best of three runs takes more than `slack` times the limit."""
    allowed = slack * target.limit(len(data))
    least = float("inf")
    for _ in range(3):
        begun = time.process_time()
        target.run(data)
        least = min(least, time.process_time() - begun)
        if least <= allowed:
            return
    raise TooSlow(f"{least * 1000:.1f} ms for {len(data)} octets, {allowed * 1000:.0f} ms at most")
