"""The root key sentinel (RFC 8509): who may only ask names finds out by which of the root's keys his resolver validates."""

from collections.abc import Callable, Collection
from typing import Final

from resolverd.wire import codes
from resolverd.wire.answer import Answer, servfail
from resolverd.wire.names import Name
from resolverd.wire.rrset import Security

_IS_TA: Final = b"root-key-sentinel-is-ta-"
_NOT_TA: Final = b"root-key-sentinel-not-ta-"
_DIGITS: Final = 5
_LENGTHS: Final = frozenset({len(_IS_TA) + _DIGITS, len(_NOT_TA) + _DIGITS})
_TEXT: Final = "root key sentinel (RFC 8509)"


class Sentinel:
    """`tags` gives the key tags of the root's trust anchors in force."""

    def __init__(self, tags: Callable[[], Collection[int]]):
        self._tags = tags

    def judged(self, name: Name, rtype: int, answer: Answer) -> Answer:
        """The answer to a client who has not set CD; SERVFAIL where what the name (lower case) says of a key is not so.

        Only an address that is authentic is a sentinel's (RFC 8509 §3.1, §3.2).
        """
        if name[0] not in _LENGTHS or answer.security is not Security.SECURE or rtype not in (codes.A, codes.AAAA):
            return answer
        label = name[1 : 1 + name[0]]
        digits = label[-_DIGITS:]
        if not digits.isdigit() or (which := label[:-_DIGITS]) not in (_IS_TA, _NOT_TA):
            return answer
        return answer if (int(digits) in self._tags()) is (which == _IS_TA) else servfail(codes.EDE_OTHER, _TEXT)
