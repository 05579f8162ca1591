"""All that is looked for."""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from resolverd.config.review import lists, origin, reach, store, unmatched
from resolverd.config.review.warning import ConfigWarning
from resolverd.config.settings import Settings

Examination: TypeAlias = Callable[[Settings], Iterator[ConfigWarning]]

EXAMINATIONS: Final[tuple[Examination, ...]] = (
    reach.open_resolver, reach.everybody_trusted, reach.forwarding_to_itself, reach.forwarding_to_public,
    origin.real_zone, origin.within_a_list,
    store.strangers, store.in_clear, store.without_a_server,
    lists.use, lists.quotas, lists.registration, lists.lost_codes,
    unmatched.policies, unmatched.clients, unmatched.below_origin, unmatched.families, unmatched.builtin_exceptions,
    unmatched.trust_anchors, unmatched.spf_domains, unmatched.watched_addresses, unmatched.points,
)  # fmt: skip


def review(settings: Settings) -> list[ConfigWarning]:
    """Every warning, what loses mail first."""
    return sorted((each for examine in EXAMINATIONS for each in examine(settings)), key=lambda each: not each.grave)
