"""Local zones and lists from files: read behind the start and anew when they change, the old data kept while a file is broken.

Files are looked at every few seconds in a thread, and what they make takes the place of what was there in one step.
"""

import asyncio
import gc
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from resolverd import logs
from resolverd.clock import Clock
from resolverd.metrics import Counters
from resolverd.resolver.local.local_zone import LocalZone
from resolverd.resolver.local.master_file import BadZone
from resolverd.resolver.local.rbldnsd import BadDataset, Dataset
from resolverd.resolver.local.table import LocalZones
from resolverd.resolver.local.zone_file import FORMAT_ORDER, Stamp, ZoneSource, format_of, origin_of, parsed, passed_over
from resolverd.wire.names import BadName, Name, to_text
from resolverd.wire.rrset import RRset

log = logging.getLogger(__name__)

LOOK_EVERY = 2.0
"""Seconds between two looks at the files."""

_AT_REST = 1.0
"""Seconds for which a file must not have been written before it is read anew: a copy that is still going on is no list yet."""

_UNREAD = Stamp(-1, -1, -1.0)
"""Of a file that is known by its name only as yet."""

_SHARE = 1 << 20
"""Octets of files read at the start, small ones first, before what is in them is served and the next ones are read."""


class _File(NamedTuple):
    """A file as last read. `content` is None where it never could be; `fault`: why it cannot be read as it is now."""

    stamp: Stamp
    content: list[RRset] | Dataset | None
    fault: str = ""

    @property
    def expires(self) -> float | None:
        return self.content.head.expires if isinstance(self.content, Dataset) else None


class ZoneChange(NamedTuple):
    """What a look at the files has brought: the zones as they are now, which of them have changed, and readings by outcome."""

    table: LocalZones
    origins: frozenset[Name]
    readings: tuple[str, ...]


class LocalZoneFiles:
    """The zones made of those files.

    `delegated_away` as `LocalZones` has it. `on_change` are called with what has changed, on the event loop.
    """

    def __init__(self, files: ZoneSource, clock: Clock, counters: Counters, delegated_away: Iterable[Name] = ()):
        self._files = files
        self._clock = clock
        self._counters = counters
        self._delegated_away = tuple(delegated_away)
        self._read: dict[str, _File] = {}
        self._zones: dict[Name, LocalZone] = {}
        self._bad_names: frozenset[str] = frozenset()
        self._unreadable = False
        self._looking = asyncio.Lock()
        self.table = LocalZones()
        self.on_change: list[Callable[[ZoneChange], None]] = []

    def begin(self) -> None:
        """See which zones there are. Until `run` or `load` has read all files of one, it answers SERVFAIL."""
        try:
            found = self._files.scan()
        except OSError:
            return  # the first look at the files logs why
        known = self._named(found)
        self._read = dict.fromkeys(known, _File(_UNREAD, None))
        self._take(self._built(set(known.values()), [], self._clock.wall()))

    def load(self) -> None:
        """Read everything now, blocking."""
        self._take(self._look())
        while self._unread():
            self._take(self._look())

    async def run(self) -> None:
        """Read the files, and look at them for ever; ends by cancellation."""
        while left := self._unread():
            await self.refresh()
            if self._unread() == left:
                await asyncio.sleep(LOOK_EVERY)
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self.refresh()

    def _unread(self) -> int:
        return sum(file.stamp is _UNREAD for file in self._read.values())

    async def refresh(self) -> None:
        """Look at the files now. What is read takes its place in one step, on the event loop."""
        async with self._looking:
            try:
                change = await asyncio.to_thread(self._look_without_gc)
            except Exception as error:
                # A bug in reading one file must not end the reading of all.
                text = "looking at the zone files failed; the zones stay as they are"
                logs.bug(log, self._counters, "zones", text, error=error)
            else:
                self._take(change)

    async def set_source(self, files: ZoneSource, delegated_away: Iterable[Name]) -> None:
        """Read from another folder, or beside other zones, from now on; the zones stay until that is done."""
        async with self._looking:
            self._files, self._delegated_away = files, tuple(delegated_away)
            self._read = {}
        await self.refresh()

    def gauges(self) -> dict[str, float]:
        """Figures: zones, their entries, files that cannot be read as they are, lines passed over, zones not served."""
        files = list(self._read.values())
        return {
            "zones": len(self.table),
            "zone_entries": sum(map(len, self.table)),
            "zone_files_broken": sum(bool(file.fault) for file in files),
            "zone_lines_passed_over": sum(
                file.content.faults.number for file in files if isinstance(file.content, Dataset)
            ),
            "zones_out_of_service": sum(bool(zone.fault) for zone in self.table),
        }

    def _look_without_gc(self) -> ZoneChange | None:
        """As `_look`, in a thread. Zones have no reference cycles; a collection that looks for some would stop all else."""
        gc.disable()
        try:
            change = self._look()
            if change is not None:
                gc.freeze()
            return change
        finally:
            gc.enable()

    def _look(self) -> ZoneChange | None:
        """Read what has changed; None if nothing has. Blocks.

        Where files have not been read yet, it is done after a `_SHARE` of them, and the next look goes on.
        """
        try:
            found = self._files.scan()
        except OSError as error:
            # No folder and no zones is how most begin; a folder that is gone may be a file system that is.
            if self._zones or not isinstance(error, FileNotFoundError):
                self._log_unreadable(error)
            return None
        self._unreadable = False
        now = self._clock.wall()
        known = self._named(found)
        changed, readings = set[Name](), []
        for name in self._read.keys() - known.keys():
            log.info("%s is gone, and what it held", name)
            del self._read[name]
            changed.add(origin_of(name))
        left = _SHARE
        for name in sorted(known, key=lambda name: found[name].size):
            if left < _SHARE and found[name].size > left and self._unread():
                break
            origin, before = known[name], self._read.get(name)
            if before is not None and before.stamp is _UNREAD:
                before = None
            if before is not None and (before.stamp == found[name] or 0 <= now - found[name].written < _AT_REST):
                continue
            left -= found[name].size
            file = self._fetch(name, origin, found[name], before, now)
            if file is not None:
                self._read[name] = file
                readings.append("broken" if file.fault else "read")
                changed.add(origin)
        return self._built(changed, readings, now)

    def _log_unreadable(self, error: OSError) -> None:
        if not self._unreadable:
            log.error("the zone files cannot be looked at (%s): the zones stay as they are", error.strerror or error)
        self._unreadable = True

    def _take(self, change: ZoneChange | None) -> None:
        if change is None:
            return
        self.table = change.table
        for reading in change.readings:
            self._counters.add("zone_files", outcome=reading)
        for callback in self.on_change:
            callback(change)

    def _named(self, found: Mapping[str, Stamp]) -> dict[str, Name]:
        """The files that are zones by their names, with their origins; invalid names are logged once."""
        known: dict[str, Name] = {}
        bad_names = set()
        for name in found:
            if format_of(name) in FORMAT_ORDER:
                try:
                    known[name] = origin_of(name)
                except BadName as error:
                    bad_names.add(name)
                    if name not in self._bad_names:
                        log.error("%s is no zone, its name being no domain's: %s", name, error)
        self._bad_names = frozenset(bad_names)
        return known

    def _fetch(self, name: str, origin: Name, stamp: Stamp, before: _File | None, now: float) -> _File | None:
        """A file read; None where it was being written meanwhile, so that the next look will find it changed."""
        try:
            content = parsed(self._files.lines(name), name, stamp, now)
            if before is not None and self._files.scan().get(name) != stamp:
                return None
        except (OSError, UnicodeDecodeError, BadZone, BadDataset, MemoryError) as error:
            kept = before.content if before is not None else None
            stays = "what it held before stays" if kept is not None else f"{to_text(origin)} is answered with SERVFAIL"
            fault = str(error) or "there is not enough memory for it"
            log.error("%s cannot be used, %s: %s", name, stays, fault)
            return _File(stamp, kept, fault)
        if isinstance(content, Dataset):
            for text in passed_over(name, content):
                log.warning("%s", text)
            log.info("%s: %d entries", name, content.size)
        else:
            log.info("%s: %d record sets", name, len(content))
        return _File(stamp, content)

    def _built(self, changed: set[Name], readings: list[str], now: float) -> ZoneChange | None:
        """The table anew, if anything in it is another than before: read, gone, expired, or no longer expired."""
        files: dict[Name, list[str]] = {}
        for name in sorted(self._read, key=lambda name: FORMAT_ORDER.index(format_of(name))):
            files.setdefault(origin_of(name), []).append(name)
        zones = {}
        for origin, names in files.items():
            fault = self._fault(names, now)
            zone = self._zones.get(origin)
            if zone is None or origin in changed or zone.fault != fault:
                if fault and all(self._read[name].stamp is not _UNREAD for name in names):
                    log.error("%s is not served: %s", to_text(origin), fault)
                zone = self._zone(origin, names, fault)
                changed.add(origin)
            zones[origin] = zone
        changed |= self._zones.keys() - zones.keys()
        if not changed:
            return None
        self._zones = zones
        return ZoneChange(LocalZones(zones.values(), self._delegated_away), frozenset(changed), tuple(readings))

    def _zone(self, origin: Name, names: list[str], fault: str) -> LocalZone:
        contents = [self._read[name].content for name in names]
        records = next((each for each in contents if isinstance(each, list)), None)
        return LocalZone(origin, records, [each for each in contents if isinstance(each, Dataset)], fault)

    def _fault(self, names: list[str], now: float) -> str:
        """Why rbldnsd would not serve a zone of these files either."""
        for name in names:
            file = self._read[name]
            if file.stamp is _UNREAD:
                return f"{name} is being read"
            if file.content is None:
                return f"{name} cannot be used"
            if file.expires is not None and now >= file.expires:
                return f"{name} has expired"
        return ""
