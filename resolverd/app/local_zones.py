"""The local zones in their place: read from their folder, in front of the resolver, their delegations among its routes."""

from resolverd.app.resolver import Resolution
from resolverd.app.zone_folder import ZoneFolder
from resolverd.clock import Clock
from resolverd.config import Settings
from resolverd.metrics import Counters
from resolverd.resolver.iterator.forwards import Upstream
from resolverd.resolver.local.files import LocalZoneFiles
from resolverd.resolver.local.table import LocalZones
from resolverd.wire import codes, rdata
from resolverd.wire.ask import Server
from resolverd.wire.names import Name, address, from_text, lower
from resolverd.wire.rrset import RRset


def local_zones(settings: Settings, clock: Clock, counters: Counters) -> LocalZoneFiles:
    """The zones in the configured folder, not read yet."""
    zones = LocalZoneFiles(ZoneFolder(settings.zones.dir), clock, counters, _delegated_away(settings))
    zones.begin()
    return zones


async def reread(zones: LocalZoneFiles, before: Settings, settings: Settings) -> None:
    """Look at the files now, in another folder if the configuration names another."""
    if (settings.zones.dir, _delegated_away(settings)) != (before.zones.dir, _delegated_away(before)):
        await zones.set_source(ZoneFolder(settings.zones.dir), _delegated_away(settings))
    else:
        await zones.refresh()


def delegate(table: LocalZones, parts: Resolution, settings: Settings) -> None:
    """Have what local zones delegate asked of the servers that they name."""
    wanted = settings.resolver
    types = [codes.A] * wanted.ipv4 + [codes.AAAA] * wanted.ipv6
    parts.delegate(tuple(_route(ns, glue, types) for ns, glue in table.delegations()))


def _route(ns: RRset, glue: tuple[RRset, ...], types: list[int]) -> Upstream:
    known = {lower(each.owner) for each in glue}
    names = (lower(rdata.target(codes.NS, data)) for data in ns.rdatas)
    servers = (Server(address(data)) for each in glue if each.rtype in types for data in each.rdatas)
    return Upstream(lower(ns.owner), tuple(servers), names=tuple(name for name in names if name not in known))


def _delegated_away(settings: Settings) -> tuple[Name, ...]:
    """Zones that the configuration has asked of others."""
    zones = [each.zone for each in settings.resolver.forward] + [each.zone for each in settings.resolver.stub]
    return tuple(lower(from_text(zone)) for zone in zones)
