"""What a configuration names outside itself: map files, allow files, domains, root hints, trust anchors, certificates, secrets.

Nobody writes these with the care that a configuration gets: other programs do, and what is named may be missing. So a fault
in them costs what depends on it and nothing else; nameserver and policy service start, and go on at a reload. Each fault is
reported, in the log and by ``resolverd config check``. Without its certificate the daemon does not start (`serve`).
"""

import contextlib
import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from resolverd.app import certificate
from resolverd.app.allow_files import AllowFiles, allow_files, shipped
from resolverd.app.certificate import Certificate
from resolverd.app.resolver import root_hints
from resolverd.app.trust import trust_anchors
from resolverd.app.zone_folder import ZoneFolder
from resolverd.config import Settings, access_maps, unusable_keys
from resolverd.config.files import base
from resolverd.config.map_files import AccessMapFiles, LocalDomainFiles, local_domains
from resolverd.config.review.reach import upstreams, zone_of
from resolverd.config.secrets import Secret, loose
from resolverd.config.settings import ZonesSettings
from resolverd.failures import ConfigError, ConfigFault, StoreError
from resolverd.greylist.shipped_list import ShippedList
from resolverd.resolver.iterator.forwards import Hints
from resolverd.resolver.local import zone_file
from resolverd.resolver.validator.anchors import TrustAnchors
from resolverd.state.redis.connection import check_library
from resolverd.telemetry import sendmail
from resolverd.tls import client_context
from resolverd.wire.names import Name, from_text, is_subdomain, lower

_T = TypeVar("_T")


class External(NamedTuple):
    """What was read, and every fault in it."""

    hints: Hints
    anchors: TrustAnchors
    maps: AccessMapFiles
    allow_files: AllowFiles
    shipped: ShippedList
    local: LocalDomainFiles
    certificate: Certificate | None
    """That of DNS over TLS for clients, where that is wanted and it can be used."""
    faults: tuple[ConfigFault, ...]


def read(settings: Settings, before: External | None = None, started_with: Certificate | None = None) -> External:
    """Everything that the configuration names, as it is now; a file that cannot be read counts as it was `before`.

    `started_with`: the certificate as it was read when that was still root's to do.
    """
    hints, faults = _or_before(lambda: root_hints(settings.resolver), before and before.hints, lambda: root_hints(None))
    anchors, more = _or_before(
        lambda: trust_anchors(settings.resolver.trust_anchors), before and before.anchors, lambda: trust_anchors(None)
    )
    faults += more
    maps = access_maps(settings, before.maps if before else None)
    allowing = allow_files(settings, before.allow_files if before else None)
    local = local_domains(settings, before.local if before else None)
    served, more = _certificate(settings, started_with or (before and before.certificate))
    own = [*_secrets(settings), *_shared_store(settings), *_alerts(settings)]
    faults = [*own, *faults, *maps.faults, *allowing.faults, *local.faults, *more]
    return External(hints, anchors, maps, allowing, shipped(settings), local, served, tuple(faults))


def _certificate(settings: Settings, before: Certificate | None) -> tuple[Certificate | None, list[ConfigFault]]:
    tls = settings.dns.tls
    if tls is None:
        return None, []
    try:
        return certificate.read(tls), []
    except ConfigError as error:
        if before is None:
            return None, error.faults
        return before, [ConfigFault(fault.path, f"{fault.text}; the certificate in use so far is used") for fault in error.faults]


def of_zones(settings: Settings, file: Path | None, now: float) -> Iterator[ConfigFault]:
    """What is wrong with the folder of local zones and the files in it, all of which are read. `file`: the configuration.

    The folder of the default need not be there.
    """
    folder = settings.zones.dir
    try:
        for text in zone_file.faults(ZoneFolder(folder), now):
            yield ConfigFault("zones.dir", f"{folder}{os.sep}{text}")
        yield from _unasked(settings, zone_file.origins(ZoneFolder(folder)))
    except FileNotFoundError as error:
        if folder != base(file) / ZonesSettings().dir:
            yield ConfigFault("zones.dir", f"cannot read {str(folder)!r}: {error.strerror}; there are no local zones")
    except OSError as error:
        yield ConfigFault("zones.dir", f"cannot read {str(folder)!r}: {error.strerror}; there are no local zones")


def _unasked(settings: Settings, origins: Mapping[str, Name]) -> Iterator[ConfigFault]:
    """Local zones behind the combined zone, and upstream zones behind local ones (`resolver.local.table`): nobody asks them."""
    combined = lower(from_text(settings.zone.origin))
    for name, origin in origins.items():
        if is_subdomain(origin, combined):
            text = f"{settings.zones.dir / name} is never asked: it is within zone.origin, which is answered otherwise"
            yield ConfigFault("zones.dir", text)
    files = {origin: name for name, origin in origins.items()}
    for key, table in upstreams(settings):
        if (file := files.get(zone_of(table))) is not None:
            yield ConfigFault(f"{key}.zone", f"{table.zone} is answered from {settings.zones.dir / file}, and never asked there")


def _secrets(settings: Settings) -> Iterator[ConfigFault]:
    for name, fault in unusable_keys(settings) if settings.dnsbl.enabled else ():
        if settings.lists[name].enabled is not False:
            yield ConfigFault(f"lists.{name}.key", f"{fault}; the list is not asked")
    if settings.store.password is not None and settings.store.password.fault:
        yield ConfigFault("store.password", f"{settings.store.password.fault}; the shared store is out of reach")
    if settings.http.token is not None and settings.http.token.fault:
        yield ConfigFault("http.token", f"{settings.http.token.fault}; nothing can be changed over HTTP")
    yield from _open_secrets(settings)


def _open_secrets(settings: Settings) -> Iterator[ConfigFault]:
    """Files of secrets that others may read or write; the daemon's user may own them, whoever asks."""
    owners = []
    if (directory := settings.state_directory()) is not None:
        with contextlib.suppress(OSError):
            owners.append(directory.stat().st_uid)
    http, store, alerts = settings.http, settings.store, settings.alerts
    named = {"http.token": http.token, "store.password": store.password, "alerts.webhook": alerts.webhook}
    keys = {f"lists.{name}.key": table.key for name, table in settings.lists.items()}
    for key, secret in (*named.items(), *keys.items()):
        if isinstance(secret, Secret) and secret.source == "file":
            yield from (ConfigFault(key, text) for text in loose(Path(secret.name), owners))


def _shared_store(settings: Settings) -> Iterator[ConfigFault]:
    """What keeps every host from the server that they share, whether that is there or not."""
    store = settings.store
    if store.url.target is None:
        return
    try:
        check_library()
    except StoreError as error:
        yield ConfigFault("store.url", f"{error}; the shared store is out of reach")
    if store.url.target.tls and store.ca is not None:
        try:
            client_context(store.ca)
        except ssl.SSLError:
            yield ConfigFault("store.ca", f"{str(store.ca)!r} has no certificate in PEM; the shared store is out of reach")
        except OSError as error:
            yield ConfigFault("store.ca", f"cannot read {str(store.ca)!r}: {error.strerror}; the shared store is out of reach")


def _alerts(settings: Settings) -> Iterator[ConfigFault]:
    wanted = settings.alerts
    if wanted.webhook is not None and wanted.webhook.fault:
        yield ConfigFault("alerts.webhook", f"{wanted.webhook.fault}; nobody is told that way")
    if wanted.mail and sendmail.installed() is None:
        text = f"{sendmail.PATHS[0]} is not there; mail goes to port 25 of 127.0.0.1, if a mail server listens there"
        yield ConfigFault("alerts.mail", text)


def _or_before(read: Callable[[], _T], before: _T | None, shipped: Callable[[], _T]) -> tuple[_T, list[ConfigFault]]:
    """What is read, or for a fault in it what was read `before`, or what is shipped; and the faults."""
    try:
        return read(), []
    except ConfigError as error:
        instead, what = (shipped(), "those shipped") if before is None else (before, "those in use so far")
        return instead, [ConfigFault(fault.path, f"{fault.text}; {what} are used") for fault in error.faults]
