"""Generations: what was begun before a change is not kept after it.

Whoever waits for an answer that was in flight when a cache was flushed, a zone or an override appeared, a list was suspended
or a configuration was read again gets it; whoever remembers answers compares the generation in which it was begun with the
one in which it came.
"""

from weakref import WeakSet


class Generation:
    """Counts the changes of something that answers are made of.

        begun = generation.number
        answer = await …
        if generation.number == begun:
            cache.put(answer)

    `upon`: what it is itself made of, whose changes are its own as well.
    """

    __slots__ = ("__weakref__", "_above", "number")

    def __init__(self, *upon: "Generation"):
        self.number = 0
        """Another one after every change."""
        self._above: WeakSet[Generation] = WeakSet()
        for each in upon:
            each._above.add(self)

    def bump(self) -> None:
        """It has changed."""
        self.number += 1
        for each in self._above:
            each.bump()
