"""Which form of records a fleet writes, while some of its hosts run a newer release than others.

A release reads the schemas `oldest` to `newest`, and can write each of them. Each host announces what it reads; everybody
writes the newest that all who live can read. So a release with a new schema goes on writing the old one until the last host
has been upgraded, and what it writes can be read by all at any time.
"""

from collections.abc import Iterable
from typing import NamedTuple

from resolverd.state.redis import frames


class Schemas(NamedTuple):
    """What a release reads, and can write: from `oldest` to `newest`."""

    oldest: int
    newest: int


SCHEMAS = Schemas(1, frames.SCHEMA)
"""Those of this release."""


def agreed(own: Schemas, others: Iterable[Schemas]) -> int:
    """The newest schema that all read, of those that one can write oneself: with who is too far apart there is none."""
    return max(own.oldest, min((own.newest, *(each.newest for each in others))))


def apart(own: Schemas, other: Schemas) -> bool:
    """Whether two releases have no schema in common, so that neither reads what the other writes."""
    return own.oldest > other.newest or other.oldest > own.newest
