"""Perl's regular expressions as they stand in Postgrey's files, in time linear in what they are matched with.

An admin's expression meets names that strangers choose. A matcher that backtracks can be kept busy for hours by one that looks
harmless (``/^(\\w+\\.?)+$/``, CWE-1333), and with it the event loop. So these become a finite automaton, built as it is needed
(K. Thompson, "Regular Expression Search Algorithm", CACM 1968), of what their text says (`expression_syntax`).
"""

from typing import Final, NamedTuple

from resolverd import bounds
from resolverd.greylist.expression_syntax import At, Chars, Either, Node, Repeat, Sequence, is_word, parse

_MATCHED: Final = -1
_LOST: Final = -2


class _State(NamedTuple):
    """A state of the automaton: `step` takes a character, or it goes on without one to `then`, for `At` only in its place."""

    step: Chars | At | None
    then: tuple[int, ...]


class Expression:
    """An expression. `pattern` is its text."""

    __slots__ = ("_anywhere", "_numbers", "_places", "_rows", "_start", "_states", "_steps", "pattern")

    def __init__(self, pattern: str):
        """Raises ValueError with words that complete "/EXPRESSION/ …"."""
        self.pattern = pattern
        node = parse(pattern)
        self._states: list[_State] = [_State(None, ())]
        self._start = self._add(node, 0)
        begins = node.parts[0] if isinstance(node, Sequence) and node.parts else None
        self._anywhere = () if begins == At("^") else (self._start,)
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
            number = self._place(following, "w" if is_word(char) else "-")
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
            if isinstance(state.step, Chars):
                if char and state.step.holds(char):
                    following.update(state.then)
            elif state.step is None or _is_there(state.step.what, before, char):
                waiting += (each for each in state.then if each not in reached)
                reached.update(state.then)
        return frozenset(following)

    def _add(self, node: Node, then: int) -> int:
        """Put a node in front of the state `then`; the state with which it begins."""
        if isinstance(node, Sequence):
            for part in reversed(node.parts):
                then = self._add(part, then)
            return then
        if isinstance(node, Either):
            return self._new(None, tuple(self._add(way, then) for way in node.ways))
        if isinstance(node, Repeat):
            return self._repeated(node, then)
        return self._new(node, (then,))

    def _repeated(self, node: Repeat, then: int) -> int:
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

    def _new(self, step: Chars | At | None, then: tuple[int, ...]) -> int:
        if len(self._states) >= bounds.EXPRESSION_STATES:
            raise ValueError("is an expression too large to be matched quickly")
        self._states.append(_State(step, then))
        return len(self._states) - 1


def _is_there(what: str, before: str, char: str) -> bool:
    if what == "^":
        return not before
    if what == "$":
        return not char
    return (is_word(before) is not is_word(char)) is (what == "b")
