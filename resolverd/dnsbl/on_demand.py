"""Which lists of the catalogue may be asked because somebody wants to know, and why the others are not.

Lists that are enabled are asked for every mail. The others have said in their terms whom they answer: some want a key, some
want to know who asks, and some are not for those who serve others.
"""

from collections.abc import Iterable, Mapping

from resolverd.dnsbl.catalogue import Catalogue, ListEntry
from resolverd.dnsbl.spec import ListSpec


def not_asked(catalogue: Catalogue, specs: Iterable[ListSpec], *, enabled: bool, use: str) -> Mapping[str, str]:
    """The lists of the catalogue that are not to be asked, by id, and why.

    `specs`: those that are asked anyway. `enabled`: ``[dnsbl] enabled``; `use`: ``own-mail`` or ``service``.
    """
    if not enabled:
        return dict.fromkeys(catalogue.entries, "no list is asked (dnsbl.enabled = false)")
    asked = {spec.id for spec in specs}
    instead = {catalogue.entries[name].replaces: name for name in asked if name in catalogue.entries}
    reasons = {
        name: f"{instead[name]} is asked in its place" if name in instead else _why_not(entry, use)
        for name, entry in catalogue.entries.items()
        if name not in asked
    }
    return {name: reason for name, reason in reasons.items() if reason}


def _why_not(entry: ListEntry, use: str) -> str:
    if entry.zone is None:
        return f"it needs a {'key' if entry.key_zone is not None else 'zone'} of your own ([lists.{entry.name}])"
    if entry.terms.registration:
        return f"its operator wants {entry.terms.registration} registered first; then [lists.{entry.name}] enabled = true"
    if use == "service" and entry.terms.commercial == "no":
        return "its terms are against serving others with it (dnsbl.use)"
    return ""
