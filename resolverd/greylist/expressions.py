"""Perl's regular expressions as they stand in Postgrey's files, in time linear in what they are matched with.

An admin's expression meets names that strangers choose. A matcher that backtracks can be kept busy for hours by one that looks
harmless (``/^(\\w+\\.?)+$/``, CWE-1333), and with it the event loop. So these become a finite automaton, built as it is needed
(K. Thompson, "Regular Expression Search Algorithm", CACM 1968). What no automaton can do, and what Perl understands
otherwise than one would read it here, is named as not understood, never taken for something else.

Understood, in any letter case and in ASCII (perlre): literals, ``.``, classes with ranges, ``\\d \\w \\s \\h`` and POSIX classes,
groups, alternatives, ``* + ? {n} {n,} {n,m}``, lazy ones too, ``^ $ \\A \\z \\Z \\b \\B``, comments ``(?#...)`` and ``(?i)``.
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
_MATCHED: Final = -1
_LOST: Final = -2
_REPEATED: Final[dict[str, tuple[int, int | None]]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


class _Chars(NamedTuple):
    """One character out of some, or out of all others."""

    ranges: Ranges
    negated: bool = False

    def holds(self, char: str) -> bool:
        """Whether the character is meant, in whichever letter case."""
        cases = {char, char.lower(), char.upper()} if char.isascii() else {char}
        return any(low <= ord(each) <= high for each in cases for low, high in self.ranges) is not self.negated


class _At(NamedTuple):
    """A place between characters: ``^``, ``$``, ``b``, ``B``."""

    what: str


class _Sequence(NamedTuple):
    parts: "tuple[_Node, ...]"


class _Either(NamedTuple):
    ways: "tuple[_Node, ...]"


class _Repeat(NamedTuple):
    node: "_Node"
    least: int
    most: int | None


_Node: TypeAlias = _Chars | _At | _Sequence | _Either | _Repeat


class _State(NamedTuple):
    """A state of the automaton: `step` takes a character, or it goes on without one to `then`, for `_At` only in its place."""

    step: _Chars | _At | None
    then: tuple[int, ...]


class Expression:
    """An expression. `pattern` is its text."""

    __slots__ = ("_anywhere", "_numbers", "_places", "_rows", "_start", "_states", "_steps", "pattern")

    def __init__(self, pattern: str):
        """Raises ValueError with words that complete "/EXPRESSION/ …"."""
        self.pattern = pattern
        node = _Parser(pattern).whole()
        self._states: list[_State] = [_State(None, ())]
        self._start = self._add(node, 0)
        begins = node.parts[0] if isinstance(node, _Sequence) and node.parts else None
        self._anywhere = () if begins == _At("^") else (self._start,)
        self._forget()

    def search(self, text: str) -> bool:
        """Whether it matches anywhere in the text; never one that is longer than any name or address."""
        if self._rows[0].get(text[:1]) == _LOST or len(text) > bounds.EXPRESSION_TEXT:
            return False  # most names do not even begin so
        at = 0
        for char in (*text, ""):
            following = self._rows[at].get(char)
            at = following if following is not None else self._explore(at, char)
            if at < 0:
                return at == _MATCHED
        return False

    def _explore(self, at: int, char: str) -> int:
        """Where a character leads that has not been seen in this place; remembered, within bounds."""
        states, before = self._places[at]
        following = self._step(states, before, char)
        if not following:
            number = _MATCHED if following is None else _LOST
        else:
            if self._steps >= bounds.EXPRESSION_STEPS:
                self._forget()
                at = self._place(states, before)
            # Of what stood before, no more matters than that.
            number = self._place(following, "w" if _is_word(char) else "-")
        self._steps += 1
        self._rows[at][char] = number
        return number

    def _place(self, states: frozenset[int], before: str) -> int:
        """The number of a place in the automaton."""
        place = (states, before)
        number = self._numbers.setdefault(place, len(self._places))
        if number == len(self._places):
            self._places.append(place)
            self._rows.append({})
        return number

    def _forget(self) -> None:
        self._places: list[tuple[frozenset[int], str]] = []
        self._rows: list[dict[str, int]] = []
        self._numbers: dict[tuple[frozenset[int], str], int] = {}
        self._steps = 0
        self._place(frozenset((self._start,)), "")

    def _step(self, states: frozenset[int], before: str, char: str) -> frozenset[int] | None:
        """The states behind a character (empty for the end of the text); None once the expression has matched, and none at all
        where it can no more."""
        reached, waiting = set(states), list(states)
        following = set(self._anywhere)
        while waiting:
            number = waiting.pop()
            if not number:
                return None
            state = self._states[number]
            if isinstance(state.step, _Chars):
                if char and state.step.holds(char):
                    following.update(state.then)
            elif state.step is None or _is_there(state.step.what, before, char):
                waiting += (each for each in state.then if each not in reached)
                reached.update(state.then)
        return frozenset(following)

    def _add(self, node: _Node, then: int) -> int:
        """Put a node in front of the state `then`; the state with which it begins."""
        if isinstance(node, _Sequence):
            for part in reversed(node.parts):
                then = self._add(part, then)
            return then
        if isinstance(node, _Either):
            return self._new(None, tuple(self._add(way, then) for way in node.ways))
        if isinstance(node, _Repeat):
            return self._repeated(node, then)
        return self._new(node, (then,))

    def _repeated(self, node: _Repeat, then: int) -> int:
        if node.most is None:
            loop = self._new(None, ())
            self._states[loop] = _State(None, (self._add(node.node, loop), then))
            then = loop
        else:
            end = then
            for _ in range(node.most - node.least):
                then = self._new(None, (self._add(node.node, then), end))
        for _ in range(node.least):
            then = self._add(node.node, then)
        return then

    def _new(self, step: _Chars | _At | None, then: tuple[int, ...]) -> int:
        if len(self._states) >= bounds.EXPRESSION_STATES:
            raise ValueError("is an expression too large to be matched quickly")
        self._states.append(_State(step, then))
        return len(self._states) - 1


def _is_there(what: str, before: str, char: str) -> bool:
    if what == "^":
        return not before
    if what == "$":
        return not char
    return (_is_word(before) is not _is_word(char)) is (what == "b")


def _is_word(char: str) -> bool:
    return bool(char) and any(low <= ord(char) <= high for low, high in _ESCAPED_CLASSES["w"])


class _Parser:
    """Recursive descent over the text of an expression."""

    def __init__(self, text: str):
        self._text = text
        self._at = 0
        self._depth = 0

    def whole(self) -> _Node:
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

    def _either(self) -> _Node:
        ways = [self._sequence()]
        while self._take("|"):
            ways.append(self._sequence())
        return ways[0] if len(ways) == 1 else _Either(tuple(ways))

    def _sequence(self) -> _Node:
        parts: list[_Node] = []
        while self._next() not in ("", "|", ")"):
            node = self._atom()
            if node is not None:
                parts.append(self._quantified(node))
        return _Sequence(tuple(parts))

    def _quantified(self, node: _Node) -> _Node:
        times = self._times()
        if times is None:
            return node
        if isinstance(node, _At):
            raise _fault(f"a place ({node.what}) that is repeated")
        if self._take("+"):
            raise _fault("a possessive quantifier")
        self._take("?")  # lazy or not, it matches the same texts
        if self._times() is not None:
            raise _fault("a quantifier of a quantifier")
        return _Repeat(node, *times)

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

    def _atom(self) -> _Node | None:
        char = self._char()
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        if char == ".":
            return _Chars(((10, 10),), negated=True)
        if char in "^$":
            return _At(char)
        if char == "\\":
            return self._escape()
        if char in _REPEATED:
            raise _fault("a quantifier of nothing")
        return _literal(char)

    def _group(self) -> _Node | None:
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

    def _escape(self) -> _Node:
        char = self._char()
        if char.lower() in _ESCAPED_CLASSES:
            return _Chars(_ESCAPED_CLASSES[char.lower()], negated=char.isupper())
        if char in "AzZbB":
            if self._next() == "{":
                raise _fault(f"\\{char}{{")
            return _At({"A": "^", "z": "$", "Z": "$"}.get(char, char))
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

    def _class(self) -> _Node:
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
        return _Chars(tuple(ranges), negated)

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


def _both_cases(ranges: Ranges) -> Ranges:
    return (*_POSIX["upper"], *_POSIX["lower"]) if ranges in (_POSIX["upper"], _POSIX["lower"]) else ranges


def _complement(ranges: Iterable[tuple[int, int]]) -> Ranges:
    out, at = [], 0
    for low, high in sorted(ranges):
        out += [(at, low - 1)] if low > at else []
        at = high + 1
    return (*out, (at, _TOP))


def _literal(char: str) -> _Chars:
    return _Chars(((ord(char), ord(char)),))


def _fault(what: str) -> ValueError:
    return ValueError(f"is no expression that is understood here: it has {sanitize(what, 80)}")
