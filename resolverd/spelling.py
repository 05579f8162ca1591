"""What was most likely meant by a word that is not known."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What to say behind such a word: the nearest that is known; nothing where none is near."""
    near = get_close_matches(word, [str(each) for each in known], 1)
    return f"; did you mean {near[0]!r}?" if near else ""
