"""The query by which a validator tells a zone by which keys it trusts it (RFC 8145 §5)."""

from collections.abc import Iterable
from typing import Final

from resolverd.wire.names import Name

NULL: Final = 10
"""The type that is asked for (RFC 8145 §5.1)."""
_TAGS: Final = 12
"""Tags that a label has room for (RFC 1035 §2.3.4)."""


def signal_name(zone: Name, tags: Iterable[int]) -> Name:
    """``_ta-4f66-9728`` in the zone: the tags of the keys by which it is trusted, in ascending order."""
    label = b"_ta-" + b"-".join(b"%04x" % tag for tag in sorted(set(tags))[:_TAGS])
    return bytes([len(label)]) + label + zone
