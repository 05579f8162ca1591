"""What is asked of lists beyond their operators' terms, and codes that never count."""

from collections.abc import Iterator, Sequence

from resolverd.config.lists import catalogue, enabled_lists, left_out
from resolverd.config.review.warning import ConfigWarning
from resolverd.config.settings import Settings
from resolverd.dnsbl.codes import Pattern


def use(settings: Settings) -> Iterator[ConfigWarning]:
    """``use = "service"`` turns lists off, maybe all of them."""
    for text in left_out(settings):
        path, _, rest = text.partition(": ")
        fix = ("# with a key of your own:", "[lists.NAME]", 'key = {file = "list.key"}')
        yield ConfigWarning("list-terms-use", path, rest, fix)


def quotas(settings: Settings) -> Iterator[ConfigWarning]:
    """More is asked than the terms give."""
    for spec in enabled_lists(settings):
        entry = catalogue().entries.get(spec.id)
        if entry is None or spec.keyed or entry.quota is None or spec.quota is None:
            continue
        if spec.quota.count / spec.quota.seconds > entry.quota.count / entry.quota.seconds:
            text = f"is above what its terms allow without a key: {spec.terms}"
            yield ConfigWarning("list-terms-quota", f"lists.{spec.id}.quota", text, (f"# delete quota from [lists.{spec.id}]",))


def registration(settings: Settings) -> Iterator[ConfigWarning]:
    """A list that answers those alone who are registered with it, and nothing says that we are."""
    if not settings.dnsbl.enabled:
        return
    for spec in enabled_lists(settings):
        entry = catalogue().entries.get(spec.id)
        if entry is None or spec.keyed or not entry.terms.registration or settings.lists[spec.id].registered is True:
            continue
        text = f"its operator wants {entry.terms.registration} registered, and answers nobody else: {entry.terms.link}"
        fix = (f"# once that is done: [lists.{spec.id}]", "registered = true")
        yield ConfigWarning("list-registration", f"lists.{spec.id}.enabled", text, fix)


def lost_codes(settings: Settings) -> Iterator[ConfigWarning]:
    """A code that never counts: the list's errors come before it, or another code does."""
    for spec in enabled_lists(settings):
        table = settings.lists.get(spec.id)
        if table is None or "codes" not in table.plain():
            continue
        errors = [pattern for pattern, _ in spec.codes.errors]
        codes = [pattern for pattern, _ in spec.codes.codes]
        for at, pattern in enumerate(codes):
            path = f'lists.{spec.id}.codes."{pattern.text}"'
            if (by := _holding(pattern, errors)) is not None:
                text = f"is an error of this list ({by.text}), which comes first: it is never a listing"
            elif (by := _holding(pattern, [each for each in codes[:at] if not each.bits])) is not None:
                text = f"never counts, as {by.text} before it has all of it"
            else:
                continue
            yield ConfigWarning("list-code-lost", path, text, (f"# delete it, or write it before {by.text}",))


def _holding(pattern: Pattern, others: Sequence[Pattern]) -> Pattern | None:
    """The first that has every address of `pattern`."""
    found = (each for each in others if not any(mine & ~its for mine, its in zip(pattern.fields, each.fields, strict=True)))
    return next(found, None)
