"""Names in texts, without the keys that some of them carry (`KEY.zen.dq.spamhaus.net`)."""

from resolverd.wire.names import ROOT, Name, ancestors, is_within, labels, parent, to_text

HIDDEN = "KEY"
"""What stands in place of a key."""


class Redactor:
    """Knows below which zones (lower case) the next label is a key."""

    def __init__(self, key_zones: frozenset[Name] = frozenset()):
        self._key_zones = key_zones

    def is_private(self, name: Name) -> bool:
        """Whether the name (lower case) has a key in it."""
        return bool(self._key_zones) and name != ROOT and is_within(parent(name), self._key_zones)

    def text(self, name: Name) -> str:
        """The name in presentation form, its key hidden."""
        chain = ancestors(name)
        for at, above in enumerate(chain[1:]):
            if above.lower() in self._key_zones:
                before = [to_text(_alone(label)).removesuffix(".") for label in labels(name)[:at]]
                return ".".join([*before, HIDDEN, to_text(above)])
        return to_text(name)


def _alone(label: bytes) -> Name:
    return bytes([len(label)]) + label + b"\0"
