"""The process: how Python runs in it, and what the system lets it have."""

import gc
import resource
import sys

from resolverd.config import Settings

_DESCRIPTORS = 16384
_GARBAGE = 10_000
"""Objects more than before after which cycles are looked for; Python's own 700 take an eighth of the time of new names."""
_MIDDLE, _OLD = 5, 20
"""How many of these looks make one through all that is young, and how many of those one through everything: at Python's 10 the
former goes through 100 000 objects while caches fill, and keeps everybody waiting for 50 ms."""
_SWITCH = 0.001
"""Seconds for which a thread that reads zones keeps the event loop waiting; Python's own 5 ms add up over an answer."""
_ADDRESS_SPACE = 256 << 20
"""Octets of address space beside the cache: libraries, threads' stacks, the store's pages, a reading of zones."""


def tune() -> None:
    """Have a thread that reads zones give way to the event loop soon, and Python look for cycles less often.

    What fills up here are caches, which have none, and it looks through them all; through what has been imported by now, which
    would keep everybody waiting for 70 ms, it looks no more.
    """
    gc.freeze()
    gc.set_threshold(_GARBAGE, _MIDDLE, _OLD)
    sys.setswitchinterval(_SWITCH)


def raise_descriptor_limit() -> None:
    """As many descriptors as the system lets us have, within reason: a socket for every question and every smtpd."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def memory_remarks(settings: Settings) -> list[str]:
    """A remark where the process may not have the memory that the cache is to have: Python doesn't survive that everywhere."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY or limit >= settings.cache.size * 2 + _ADDRESS_SPACE:
        return []
    return [
        f"the address space is limited to {limit >> 20} MiB (RLIMIT_AS), less than a cache of {settings.cache.size >> 20} MiB "
        "may need, and a process without memory fails anywhere: lower cache.size, or limit what is used (MemoryMax= of systemd)"
    ]
