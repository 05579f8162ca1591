"""The verdicts that are kept, and the overrides in force, read from the store."""

from collections.abc import Iterator

from resolverd.cli import store_access
from resolverd.config import Settings
from resolverd.ops.replay.judge import Kept
from resolverd.overrides import records
from resolverd.overrides.matching import OverrideIndex
from resolverd.overrides.store import TABLE as OVERRIDES
from resolverd.policy import verdicts
from resolverd.policy.verdict_records import decode, decode_together


def kept(settings: Settings, now: float) -> Iterator[Kept]:
    """Every verdict, the youngest first. What was given within the last second may not be there yet."""
    for record in store_access.records_of(settings, verdicts.TABLE):
        for octets in reversed(decode_together(record.value) or (record.value,)):
            stored = decode(octets, now, as_kept=True)
            if stored is not None and stored.age < verdicts.KEPT_FOR:
                yield Kept.of(stored, now)


def overrides(settings: Settings) -> OverrideIndex:
    """What was allowed and denied by hand."""
    found = (records.decode(each.key, each.value) for each in store_access.records_of(settings, OVERRIDES))
    return OverrideIndex(each for each in found if each is not None)
