"""The lists that a configuration enables, from the shipped catalogue."""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from zlib import crc32

from resolverd.config.secrets import Secret
from resolverd.config.settings import Settings
from resolverd.dnsbl.catalogue import Catalogue, load
from resolverd.dnsbl.config import configure, is_key
from resolverd.dnsbl.spec import ListSpec


@cache
def catalogue() -> Catalogue:
    """The catalogue as shipped; nothing in it changes."""
    return load(files("resolverd.data").joinpath("catalogue.toml").read_text("utf-8"))


def enabled_lists(settings: Settings, known: Catalogue | None = None) -> tuple[ListSpec, ...]:
    """The lists to be asked, without those whose key cannot be had. Raises ConfigError with every fault of the
    ``[lists.NAME]`` tables."""
    lost = {name for name, _ in unusable_keys(settings)}
    return tuple(spec for spec in _configured(settings, settings.dnsbl.use, known) if spec.id not in lost)


def left_out(settings: Settings) -> list[str]:
    """What ``use = "service"`` turns off, in words; most of all that nothing is left."""
    if not settings.dnsbl.enabled or settings.dnsbl.use == "own-mail":
        return []
    asked = [spec.id for spec in _configured(settings, settings.dnsbl.use)]
    forbidden = [spec.id for spec in _configured(settings, "own-mail") if spec.id not in asked]
    if not forbidden:
        return []
    rest = f"asked are {', '.join(asked)}" if asked else "so no list is asked at all"
    why = f'dnsbl.use: "service" is against the terms of {", ".join(forbidden)}, {rest}'
    return [f"{why}; a list with a key of your own ([lists.NAME] key) may be asked"]


def _configured(settings: Settings, use: str, known: Catalogue | None = None) -> tuple[ListSpec, ...]:
    return configure(known or catalogue(), settings.checks.preset, settings.list_tables(), _key, use=use)


def unusable_keys(settings: Settings) -> Iterator[tuple[str, str]]:
    """Each list that has a key which cannot be had, and why not."""
    for name, table in settings.list_tables().items():
        secret = table.get("key")
        if not isinstance(secret, Secret):
            continue
        if secret.fault:
            yield name, secret.fault
        elif not is_key(secret.reveal()):
            yield name, "what stands there is no list key: letters, digits and hyphens, at most 63"


def _key(secret: Secret) -> str:
    """The key, or for one that cannot be had a stand-in, so that the rest of its table is looked at."""
    if not secret.fault and is_key(key := secret.reveal()):
        return key
    return f"lost-{crc32(repr(secret).encode())}"
