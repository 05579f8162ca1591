"""The syntax of Perl's expressions, as far as it is understood (perlre): an expression's text, read to a tree.

In any letter case and in ASCII: literals, ``.``, classes with ranges, ``\\d \\w \\s \\h`` and POSIX classes, groups,
alternatives, ``* + ? {n} {n,} {n,m}``, lazy ones too, ``^ $ \\A \\z \\Z \\b \\B``, comments ``(?#...)`` and ``(?i)``. What no
automaton can do, and what Perl understands otherwise than one would read it here, is named as not understood, never taken for
something else.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

from resolverd import bounds
from resolverd.mail.sanitize import sanitize

Ranges: TypeAlias = tuple[tuple[int, int], ...]

_TOP: Final = 0x10FFFF
_ESCAPED_CLASSES: Final[dict[str, Ranges]] = {
    "d": ((48, 57),),
    "w": ((48, 57), (65, 90), (95, 95), (97, 122)),
    "s": ((9, 13), (32, 32)),
    "h": ((9, 9), (32, 32)),
    "v": ((10, 13),),
}
_POSIX: Final[dict[str, Ranges]] = {
    "alpha": ((65, 90), (97, 122)),
    "digit": ((48, 57),),
    "alnum": ((48, 57), (65, 90), (97, 122)),
    "upper": ((65, 90),),
    "lower": ((97, 122),),
    "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)),
    "blank": ((9, 9), (32, 32)),
    "xdigit": ((48, 57), (65, 70), (97, 102)),
    "word": _ESCAPED_CLASSES["w"],
    "cntrl": ((0, 31), (127, 127)),
    "graph": ((33, 126),),
    "print": ((32, 126),),
    "ascii": ((0, 127),),
}
_CONTROLS: Final = {"t": 9, "n": 10, "r": 13, "f": 12, "a": 7, "e": 27}
_REPEATED: Final[dict[str, tuple[int, int | None]]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


class Chars(NamedTuple):
    """One character out of some, or out of all others."""

    ranges: Ranges
    negated: bool = False

    def holds(self, char: str) -> bool:
        """Whether the character is meant, in whichever letter case."""
        cases = {char, char.lower(), char.upper()} if char.isascii() else {char}
        return any(low <= ord(each) <= high for each in cases for low, high in self.ranges) is not self.negated


class At(NamedTuple):
    """A place between characters: ``^``, ``$``, ``b``, ``B``."""

    what: str


class Sequence(NamedTuple):
    """One after the other."""

    parts: "tuple[Node, ...]"


class Either(NamedTuple):
    """Any of several."""

    ways: "tuple[Node, ...]"


class Repeat(NamedTuple):
    """A node so many times; `most` is None for any number."""

    node: "Node"
    least: int
    most: int | None


Node: TypeAlias = Chars | At | Sequence | Either | Repeat


def parse(text: str) -> Node:
    """The tree of an expression. Raises ValueError with words that complete "/EXPRESSION/ …"."""
    return _Parser(text).whole()


class _Parser:
    """Recursive descent over the text of an expression."""

    def __init__(self, text: str):
        self._text = text
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._either()
        if self._at < len(self._text):
            raise _fault(") without (")
        return node

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, text: str) -> bool:
        if not self._text.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def _char(self) -> str:
        if not (char := self._next()):
            raise _fault("an end in the middle")
        self._at += 1
        return char

    def _either(self) -> Node:
        ways = [self._sequence()]
        while self._take("|"):
            ways.append(self._sequence())
        return ways[0] if len(ways) == 1 else Either(tuple(ways))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self._next() not in ("", "|", ")"):
            node = self._atom()
            if node is not None:
                parts.append(self._quantified(node))
        return Sequence(tuple(parts))

    def _quantified(self, node: Node) -> Node:
        times = self._times()
        if times is None:
            return node
        if isinstance(node, At):
            raise _fault(f"a place ({node.what}) that is repeated")
        if self._take("+"):
            raise _fault("a possessive quantifier")
        self._take("?")  # lazy or not, it matches the same texts
        if self._times() is not None:
            raise _fault("a quantifier of a quantifier")
        return Repeat(node, *times)

    def _times(self) -> tuple[int, int | None] | None:
        char = self._next()
        if char in _REPEATED:
            self._at += 1
            return _REPEATED[char]
        if char != "{":
            return None
        inner, brace, _ = self._text[self._at + 1 :].partition("}")
        least, comma, most = inner.partition(",")
        if not brace or not inner.isascii() or not all(each.isdigit() for each in (least, most) if each) or not (least or most):
            return None  # a brace like any other
        if not least:
            raise _fault("{,n}, which is a quantifier to some versions of Perl and text to others")
        self._at += len(inner) + 2
        low = int(least) if len(least) < 6 else bounds.EXPRESSION_STATES
        high = low if not comma else None if not most else int(most) if len(most) < 6 else bounds.EXPRESSION_STATES
        if high is not None and high < low:
            raise _fault("a quantifier of at least more than at most")
        return low, high

    def _atom(self) -> Node | None:
        char = self._char()
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        if char == ".":
            return Chars(((10, 10),), negated=True)
        if char in "^$":
            return At(char)
        if char == "\\":
            return self._escape()
        if char in _REPEATED:
            raise _fault("a quantifier of nothing")
        return _literal(char)

    def _group(self) -> Node | None:
        if self._take("?"):
            if self._take("#"):
                _, found, _ = self._text[self._at :].partition(")")
                if not found:
                    raise _fault("a comment without its end")
                self._at = self._text.index(")", self._at) + 1
                return None
            if self._take("i)"):
                return None  # letter case matters nowhere
            if self._text.startswith(("<=", "<!", "=", "!"), self._at):
                raise _fault("a look ahead or behind")
            if self._take("<") or self._take("P<"):
                if not (name := self._text[self._at :].partition(">")[0]).isidentifier():
                    raise _fault("a group without a proper name")
                self._at += len(name) + 1
            elif not (self._take(":") or self._take("i:")):
                raise _fault(f"(?{self._next()}")
        self._depth += 1
        if self._depth > bounds.EXPRESSION_DEPTH:
            raise _fault("groups in groups without end")
        node = self._either()
        self._depth -= 1
        if not self._take(")"):
            raise _fault("( without )")
        return node

    def _escape(self) -> Node:
        char = self._char()
        if char.lower() in _ESCAPED_CLASSES:
            return Chars(_ESCAPED_CLASSES[char.lower()], negated=char.isupper())
        if char in "AzZbB":
            if self._next() == "{":
                raise _fault(f"\\{char}{{")
            return At({"A": "^", "z": "$", "Z": "$"}.get(char, char))
        return _literal(chr(self._code(char)))

    def _code(self, char: str) -> int:
        """The character that an escape stands for."""
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char == "x":
            digits = self._text[self._at : self._at + 2]
            if len(digits) == 2 and all(each in "0123456789abcdefABCDEF" for each in digits):
                self._at += 2
                return int(digits, 16)
        if char.isascii() and char.isalnum():
            raise _fault(f"\\{char}")
        return ord(char)

    def _class(self) -> Node:
        negated = self._take("^")
        ranges: list[tuple[int, int]] = []
        first = True
        while first or self._next() != "]":
            low = self._member(ranges)
            first = False
            # A hyphen before the end, or beside a class, is one.
            if low is not None and self._next() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                high = self._member([])
                if high is None or high < low:
                    raise _fault("a range in a class that leads nowhere")
                ranges.append((low, high))
            elif low is not None:
                ranges.append((low, low))
        self._at += 1
        return Chars(tuple(ranges), negated)

    def _member(self, ranges: list[tuple[int, int]]) -> int | None:
        """One character of a class; None for several, which are put into `ranges`."""
        char = self._char()
        if char == "[" and self._next() in (":", ".", "=") and (end := self._text.find(f"{self._next()}]", self._at + 1)) >= 0:
            name, kind = self._text[self._at + 1 : end], self._next()
            outside = name.startswith("^")
            found = _POSIX.get(name.removeprefix("^"))
            if kind != ":" or found is None:
                raise _fault(f"[{kind}{name}{kind}]")
            self._at = end + 2
            ranges += _complement(_both_cases(found)) if outside else found
            return None
        if char != "\\":
            return ord(char)
        char = self._char()
        if char.lower() in _ESCAPED_CLASSES:
            found = _ESCAPED_CLASSES[char.lower()]
            ranges += _complement(found) if char.isupper() else found
            return None
        return 8 if char == "b" else self._code(char)


def is_word(char: str) -> bool:
    """Whether a character is one of a word (``\\w``); none is not."""
    return bool(char) and any(low <= ord(char) <= high for low, high in _ESCAPED_CLASSES["w"])


def _both_cases(ranges: Ranges) -> Ranges:
    return (*_POSIX["upper"], *_POSIX["lower"]) if ranges in (_POSIX["upper"], _POSIX["lower"]) else ranges


def _complement(ranges: Iterable[tuple[int, int]]) -> Ranges:
    out, at = [], 0
    for low, high in sorted(ranges):
        out += [(at, low - 1)] if low > at else []
        at = high + 1
    return (*out, (at, _TOP))


def _literal(char: str) -> Chars:
    return Chars(((ord(char), ord(char)),))


def _fault(what: str) -> ValueError:
    return ValueError(f"is no expression that is understood here: it has {sanitize(what, 80)}")
