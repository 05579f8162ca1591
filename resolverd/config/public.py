"""What of a configuration is nobody's secret: words that may stand in a log that names nobody (`pseudonyms`)."""

import contextlib
import os
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from msgspec import Struct

from resolverd.config.endpoints import Listen, StoreUrl
from resolverd.config.lists import catalogue
from resolverd.config.reader import keys
from resolverd.config.secrets import Secret
from resolverd.config.settings import Settings
from resolverd.overrides.postfix_maps import MapFile
from resolverd.wire.ask import Server
from resolverd.wire.names import to_text

_OF_PEOPLE = ("policy.recipients", "policy.trusted_networks", "checks.exempt_recipients", "dns.allow")
"""Keys whose values name customers, partners and their machines, besides those of checks that say so of theirs."""


def public_words(settings: Settings) -> frozenset[str]:
    """The configuration's keys, lists, files and own addresses, and the servers that it names."""
    words = {key for path in keys() for key in (path, path.rpartition(".")[0])}
    words |= {f"lists.{name}{end}" for name in {*catalogue().entries, *settings.lists} for end in ("", ".key", ".codes", ".zone")}
    of_people = (*_OF_PEOPLE, *(key for key, check, _ in settings.checks.tables() if check.names_people))
    words |= set(_values(settings, "", of_people))
    for entry in catalogue().entries.values():
        words |= {to_text(zone).removesuffix(".") for zone in (entry.zone, entry.key_zone) if zone is not None}
    with contextlib.suppress(OSError):
        for name in os.listdir(settings.zones.dir):
            words |= {name, name.rpartition(".")[0]}
    return frozenset(words)


def _values(value: object, path: str, without: tuple[str, ...]) -> Iterator[str]:
    """The texts of all values below a key, but for some keys."""
    if path.startswith(without):
        return
    if isinstance(value, Struct):
        for name in value.__struct_fields__:
            yield from _values(getattr(value, name), f"{path}.{name}".lstrip("."), without)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _values(each, path, without)
    elif isinstance(value, MapFile):
        yield str(value.path)
        yield str(value)
    elif isinstance(value, StoreUrl):
        yield str(value.directory or "")
        yield str(value)
        if value.target is not None:
            yield value.target.path
            yield from (host for host, _ in value.target.addresses)
    elif isinstance(value, Listen):
        yield value.host
        yield str(value)
    elif isinstance(value, Server):
        yield str(value.address)
        yield value.tls_name
    elif isinstance(value, Secret):
        yield value.name
    elif isinstance(value, IPv4Address | IPv6Address):
        yield str(value)
    elif isinstance(value, Path):
        yield str(value)
        yield f"{value}.local"
    elif isinstance(value, tuple):
        for each in value:
            yield from _values(each, path, without)
    elif isinstance(value, str) and "@" not in value:
        yield value
