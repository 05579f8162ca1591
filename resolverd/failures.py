"""Failures as values, and the one table of what each becomes at the edges.

====================================  ==================================================================
what went wrong                        what the outside sees
====================================  ==================================================================
packet shorter than a header, QR set   silence (an answer would feed loops and reflection)
malformed question                     FORMERR
client not allowed                     REFUSED, EDE 18
no server answered                     stale data with EDE 3, else SERVFAIL with EDE 22 or 23
anything of ours in a policy request   ``action=DUNNO``: mail passes
garbage on the policy socket           logged, connection closed (Postfix then takes its default_action)
HTTP                                   RFC 9457 problem document; 503 while not ready
configuration at start                 every fault at once, exit 78
configuration at reload                the old one stays
a bug                                  SERVFAIL / DUNNO / 500, one log line with traceback, a counter
====================================  ==================================================================
"""

from enum import StrEnum
from typing import NamedTuple


class Why(StrEnum):
    """Why an answer is not known. A closed set: metrics, tests and JSON use the values."""

    TIMEOUT = "timeout"
    """Nobody answered in time, or our own deadline came first."""
    QUOTA = "quota"
    """Our budget with that list is spent, so it was not asked."""
    REFUSED = "refused"
    """The other side said REFUSED, or an answer that means so."""
    BLOCKED = "blocked"
    """A list answered with an error code: it does not serve us."""
    UNHEALTHY = "unhealthy"
    """The list is dead, suspended, or answers what it must not."""
    FAILED = "failed"
    """SERVFAIL, malformed answers, and everything else temporary."""


class Unknown(NamedTuple):
    """The reply that is not there: a value like any other, so that no check can forget it."""

    why: Why
    detail: str = ""


class StoreError(Exception):
    """What is stored cannot be had, or not be kept, just now; the message says why. Mail passes."""


class ConfigFault(NamedTuple):
    """One fault of a configuration: the key path (``lists.mine.codes``) and what is wrong, in words an admin can act on."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


class ReloadResult(NamedTuple):
    """What became of a reload: with `faults` the old configuration stays; else `remarks` on the new one, the keys that have
    another value than before, and those whose new value waits for the next start."""

    faults: tuple[ConfigFault, ...] = ()
    remarks: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()


class ConfigError(Exception):
    """A configuration that cannot be used; carries every fault found."""

    def __init__(self, faults: list[ConfigFault]):
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults
