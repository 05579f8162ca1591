"""What an SPF check comes to, in the words of RFC 7208 §2.6."""

from enum import StrEnum
from typing import NamedTuple


class Result(StrEnum):
    """The seven results."""

    NONE = "none"
    """There is no record, or no domain that could have one."""
    NEUTRAL = "neutral"
    """The domain says nothing of the client."""
    PASS = "pass"
    """The client may send for the domain."""
    FAIL = "fail"
    """It may not."""
    SOFTFAIL = "softfail"
    """It probably may not."""
    TEMPERROR = "temperror"
    """It could not be found out just now."""
    PERMERROR = "permerror"
    """The domain's record cannot be understood."""


class Outcome(NamedTuple):
    """A result and what led to it.

    `domain` is the one whose record said so, behind every redirect; `mechanism` the term that matched, as written, or
    ``default`` where none did. `problem` tells of an error. `explanation` is what the domain itself says of a fail, not
    yet fit for printing. `worthless`: a pass that anybody would have got. `never_sends`: the record is ``-all`` and nothing
    else, so the domain sends no mail at all.
    """

    result: Result
    domain: str
    mechanism: str = ""
    problem: str = ""
    explanation: str = ""
    worthless: bool = False
    never_sends: bool = False
