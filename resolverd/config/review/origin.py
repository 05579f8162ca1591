"""The name of the combined zone: what stands below it is answered here and nowhere else.

Names that no registry gives away are fine (`_OWN`), and so is a name below a domain, as its owner may choose: whether somebody
else's zone is there cannot be told without asking the internet, which nobody wants of a look at a file.
"""

from collections.abc import Iterator
from typing import Final

from resolverd.config.lists import catalogue
from resolverd.config.review.warning import ConfigWarning
from resolverd.config.settings import Settings, ZoneSettings
from resolverd.mail.domains import is_suffix, registrable
from resolverd.wire.names import from_text, is_subdomain, lower, to_text

_OWN: Final = (
    "internal",  # ICANN, resolution 2024.07.29.06: for private use
    "local",  # RFC 6762
    "home.arpa",  # RFC 8375
    "test", "invalid", "localhost", "example",  # RFC 6761
    "alt",  # RFC 9476
)  # fmt: skip
"""Names that are nobody's on the internet."""
_FIX: Final = ("[zone]", f'origin = "{ZoneSettings().origin}"')


def real_zone(settings: Settings) -> Iterator[ConfigWarning]:
    """A domain of the internet, whose web, mail and name servers nobody would find any more."""
    origin = settings.zone.origin
    if any(origin == each or origin.endswith(f".{each}") for each in _OWN):
        return
    if is_suffix(origin):
        text = f"{origin} is where domains are registered: every domain below it would be answered here, and nowhere else"
        yield ConfigWarning("origin-real", "zone.origin", text, _FIX, grave=True)
    elif registrable(origin) == origin:
        text = f"{origin} is a whole domain: its web, mail and other names would be answered here, and nowhere else"
        yield ConfigWarning("origin-real", "zone.origin", text, ("[zone]", f'origin = "rbl.{origin}"'), grave=True)


def within_a_list(settings: Settings) -> Iterator[ConfigWarning]:
    """The zone of a list, or one above or below it: the list itself cannot be asked any more."""
    origin = lower(from_text(settings.zone.origin))
    for entry in catalogue().entries.values():
        for zone in (entry.zone, entry.key_zone):
            if zone is not None and (is_subdomain(origin, zone) or is_subdomain(zone, origin)):
                text = f"hides {to_text(zone).removesuffix('.')}, the zone of {entry.name}"
                yield ConfigWarning("origin-list", "zone.origin", text, _FIX, grave=True)
                return
