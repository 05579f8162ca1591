"""Generations: what was begun before a change is not kept after it.

Whoever waits for an answer that was in flight when a cache was flushed, a zone or an override appeared, a list was suspended
or a configuration was read again gets it; whoever remembers answers compares the generation in which it was begun with the
one in which it came.
"""


class Generation:
    """Counts the changes of something that answers are made of.

        begun = generation.number
        answer = await …
        if generation.number == begun:
            cache.put(answer)

    `upon`: what it is itself made of, whose changes are its own as well.
    """

    __slots__ = ("_count", "_upon")

    def __init__(self, *upon: "Generation"):
        self._count = 0
        self._upon = upon

    @property
    def number(self) -> int:
        """Another one after every change."""
        number = self._count
        for each in self._upon:
            number += each.number
        return number

    def bump(self) -> None:
        """It has changed."""
        self._count += 1
