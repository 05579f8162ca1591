"""The tables of lists in docs/lists.md, made from the catalogue.

``python -m resolverd.cli.list_table FILE`` puts them between the marks in the file.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from resolverd.config.lists import catalogue
from resolverd.dnsbl.catalogue import Dead, ListEntry
from resolverd.wire.names import to_text

BEGIN: Final = "<!-- made by python -m resolverd.cli.list_table -->"
END: Final = "<!-- end -->"
_COMMERCIAL: Final = {"yes": "yes", "ask": "ask first", "no": "no"}
_KINDS: Final = {"ip4": "IPv4", "ip6": "IPv6", "domain": "domains", "hash": "hashes"}


def tables() -> str:
    """All lists that are known, living and dead, in Markdown."""
    known = catalogue()
    living = sorted(known.entries.values(), key=lambda entry: (not entry.presets, entry.number))
    return "\n".join([*_living(living), "", *_dead(list(known.dead.values()))])


def replaced(text: str) -> str:
    """A page with the tables as they are now between its marks. Raises ValueError where it has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{BEGIN} and {END} are not there")
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


def _living(entries: list[ListEntry]) -> Iterator[str]:
    yield "| N | name | zone | lists | points | quota | commercial use | terms |"
    yield "|---:|---|---|---|---:|---|---|---|"
    for entry in entries:
        yield (
            f"| {entry.number} | {_name(entry)} | {_zone(entry)} | {_lists(entry)} | {entry.weight:g} | {_quota(entry)}"
            f" | {_COMMERCIAL[entry.terms.commercial]} | [{entry.terms.limits or 'terms'}]({entry.terms.link}) |"
        )


def _name(entry: ListEntry) -> str:
    return f"**`{entry.name}`**" if entry.presets else f"`{entry.name}`"


def _zone(entry: ListEntry) -> str:
    if entry.zone is not None:
        return f"`{_text(entry.zone)}`"
    return f"`KEY.{_text(entry.key_zone)}`" if entry.key_zone is not None else "`zone` in config.toml"


def _lists(entry: ListEntry) -> str:
    kinds = ", ".join(text for kind, text in _KINDS.items() if kind in entry.kinds)
    return f"{kinds} (allow list)" if entry.purpose == "allow" else kinds


def _quota(entry: ListEntry) -> str:
    return "" if entry.quota is None else f"{entry.quota.count:,} a day".replace(",", " ")


def _dead(lists: list[Dead]) -> Iterator[str]:
    yield "| dead | zones | since | why |"
    yield "|---|---|---|---|"
    for each in lists:
        zones = ", ".join(f"`{_text(zone)}`" for zone in each.zones[:3])
        yield f"| `{each.name}` | {zones}{' …' if len(each.zones) > 3 else ''} | {each.since} | {each.reason} |"


def _text(zone: bytes) -> str:
    return to_text(zone).removesuffix(".")


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(replaced(file.read_text("utf-8")), "utf-8")
