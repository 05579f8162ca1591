"""What all lists together say of one subject: the fold of their replies."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from resolverd.dnsbl.spec import ListSpec
from resolverd.failures import Unknown, Why
from resolverd.mail.lookups import Clear, Listed, ListReply, Skipped

UNREACHABLE = frozenset({Why.TIMEOUT, Why.FAILED})
"""Why a list may answer in a minute; the other reasons are that it does not serve us, or that we may not ask."""


class Reputation(NamedTuple):
    """What the lists together say of a subject. `listings` are those of block lists that weigh something, `allow_listings` those
    of allow lists; both strongest first. `skipped`: some list was not asked, as it is certain without.

    `score` adds up the block lists' points. `ttl` is the smallest of the replies, None where no list was asked.
    """

    listings: tuple[Listed, ...] = ()
    allow_listings: tuple[Listed, ...] = ()
    unknown: tuple[tuple[str, Unknown], ...] = ()
    skipped: bool = False
    score: float = 0
    ttl: int | None = None

    @property
    def allowed(self) -> bool:
        """The subject is allow-listed; an allow list that merely knows it does not count."""
        return any(listing.trust for listing in self.allow_listings)

    @property
    def partial(self) -> bool:
        """Some list's reply is missing: it could not be had, or was not waited for."""
        return bool(self.unknown) or self.skipped

    def reaches(self, threshold: float | None) -> bool:
        """Whether the block lists' points reach the threshold; None: whether any lists the subject."""
        return bool(self.listings) and (threshold is None or self.score >= threshold)


def is_decided(
    specs: Mapping[str, ListSpec], replies: Mapping[str, ListReply], open_: Iterable[str], threshold: float | None
) -> bool:
    """Whether "listed, and not allow-listed" is settled, whatever the lists in `open_` may still say."""
    reputation = fold(specs, replies)
    if reputation.allowed:
        return True
    waiting = [specs[name] for name in open_]
    if reputation.reaches(threshold):
        # Points only add up. What is not known allow-lists nobody, so an allow list out of reach is not waited for for ever.
        return not any(spec.allows for spec in waiting)
    more = [spec.heaviest for spec in waiting if not spec.allows and spec.heaviest]
    return threshold is not None and reputation.score + sum(more) < threshold if more else True


def fold(specs: Mapping[str, ListSpec], replies: Mapping[str, ListReply | Skipped]) -> Reputation:
    """The reputation from each list's reply; `specs` by list id."""
    listed = [reply for reply in replies.values() if isinstance(reply, Listed)]
    listed.sort(key=lambda reply: (-abs(reply.weight), specs[reply.list_id].number))
    ttls = [reply.ttl for reply in replies.values() if isinstance(reply, (Listed, Clear))]
    # What weighs nothing is no listing, under any threshold: an abused but legitimate domain is not a spammer's.
    listings = tuple(reply for reply in listed if reply.weight and not specs[reply.list_id].allows)
    return Reputation(
        listings=listings,
        allow_listings=tuple(reply for reply in listed if specs[reply.list_id].allows),
        unknown=tuple((name, reply) for name, reply in replies.items() if isinstance(reply, Unknown)),
        skipped=any(isinstance(reply, Skipped) for reply in replies.values()),
        score=sum(reply.weight for reply in listings),
        ttl=min(ttls, default=None),
    )
