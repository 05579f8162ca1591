"""A flush of many names, done bit by bit: hundreds of thousands looked at in one go would keep everybody waiting."""

from resolverd.wire.names import ROOT, Name, ancestors


class Sweep:
    """A flush that goes through the cache bit by bit; what it is to forget is not answered with from its beginning on.

    `count`: entries forgotten so far.
    """

    def __init__(self, zone: Name, at: float, names: list[Name]):
        self.zone = zone
        self.at = at
        self.names = iter(names)
        self.count = 0
        self.ended = False

    def concerns(self, name: Name) -> bool:
        """Whether what was known of a name is to be forgotten."""
        return name.endswith(self.zone) and (self.zone == ROOT or self.zone in ancestors(name))
