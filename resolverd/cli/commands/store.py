"""``resolverd store``: the records that are kept, for backup and for moving."""

import asyncio
import json
import sys
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import IO

import click

from resolverd import __version__
from resolverd import config as configuration
from resolverd.app import moving
from resolverd.app.shared_tables import merge
from resolverd.cli import output, store_access, store_sides
from resolverd.cli.options import CommandError, SuggestingGroup, config_option, json_option
from resolverd.cli.words import Prefix
from resolverd.clock import SystemClock
from resolverd.config import Settings, StoreUrl
from resolverd.greylist import postgrey
from resolverd.greylist.decide import decode_triplet
from resolverd.greylist.service import TRIPLETS
from resolverd.servers.http import dump_format
from resolverd.state.dump import Stored

_MAX_TOLD = 20


@click.group("store", cls=SuggestingGroup)
def command() -> None:
    """Dump, load and move what the daemon keeps: greylist, quotas, overrides."""


@command.command("dump")
@click.option("--postgrey", "as_postgrey", is_flag=True, help="The triplets as db_dump writes Postgrey's; db5.3_load reads them.")
@json_option
@config_option
def dump(as_postgrey: bool, as_json: bool, config: Path | None) -> None:
    """Write every record to standard output, a JSON object a line; with --json one object, which is not for `store load`.

    \b
    With --postgrey, for postgreyreport or for going back:
      resolverd store dump --postgrey | db5.3_load DIR/postgrey.db
    """
    if as_postgrey and as_json:
        raise click.UsageError("--postgrey writes what db5.3_load reads, which is no JSON")
    settings = configuration.load(config)
    out = sys.stdout.buffer
    if as_postgrey:
        triplets = (
            (record.key, known)
            for record in store_access.records(settings)
            if record.table == TRIPLETS and (known := decode_triplet(record.value)) is not None
        )
        for lines in postgrey.to_postgrey(triplets, int(settings.greylist.delay)):
            out.write(lines)
        return
    found = store_access.records(settings)
    if as_json:
        output.print_json({**dump_format.headline(__version__), "records": [dump_format.record_json(each) for each in found]})
        return
    records = iter(found)
    first = next(records, None)  # what fails at once leaves no file that looks like the dump of an empty store
    out.write(_line(dump_format.headline(__version__)))
    for record in () if first is None else chain((first,), records):
        out.write(_line(dump_format.record_json(record)))


@command.command("load")
@click.argument("file", type=click.File("rb"), default="-")
@json_option
@config_option
def load(file: IO[bytes], as_json: bool, config: Path | None) -> None:
    """Take the records of a dump into the store. With a faulty line nothing is taken.

    Of two records for the same the one that lives longer stays, so that loading loses nothing.
    """
    settings = configuration.load(config)
    records: list[Stored] = []
    faults: list[str] = []
    for number, line in enumerate(file, 1):
        try:
            if not line.isspace() and (record := dump_format.line_from(line)) is not None:
                records.append(record)
        except dump_format.BadLine as error:
            faults.append(f"line {number}: {error}")
    if faults:
        for fault in faults[:_MAX_TOLD]:
            click.echo(f"resolverd: {output.shown(fault)}", err=True)
        raise CommandError(f"{len(faults)} faulty lines, nothing was loaded")
    tell(store_access.load(settings, records)._asdict(), Counter(record.table for record in records), as_json)


@command.command("move")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--password-file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="The server's password.")
@click.option("--prefix", type=Prefix(), metavar="TEXT", help="What keys begin with on the server.")
@click.option("--ca", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Who must sign its certificate.")
@json_option
@config_option
def move(
    source: str, target: str, password_file: Path | None, prefix: str | None, ca: Path | None, as_json: bool, config: Path | None
) -> None:
    """Take what is known of mail from one store into another, and read it back: disk:DIRECTORY, redis://HOST and its kind.

    Records that are there already are merged, so several hosts may be moved into one server, one after the other, and a move
    that broke is simply done again. What is moved from stays as it is. The daemon of a directory has to be stopped; a server may
    be in use. Password, prefix and authorities are those of [store], where that names the same server, unless given here.

    \b
      resolverd store move disk:/var/lib/resolverd rediss://store.example
    """
    settings, given = configuration.load(config), store_sides.Given(password_file, prefix, ca)
    sides = store_sides.parse(source), store_sides.parse(target)
    if sides[0] == sides[1]:
        raise click.UsageError("both are the same store")
    moved = asyncio.run(_move(*sides, settings, given))
    lost = {table: each.records - each.found for table, each in moved.items() if each.found < each.records}
    if as_json:
        output.print_json({"tables": {table: each._asdict() for table, each in moved.items()}, "complete": not lost})
    else:
        rows = [(table, *each) for table, each in moved.items() if each.records]
        numbers = ("new", "merged", "there already", "read back")
        output.print_table(("table", *numbers), rows, right=numbers, empty="nothing is kept there that could be moved")
    if lost:
        missing = ", ".join(f"{count} of {table}" for table, count in lost.items())
        raise CommandError(f"not all was found in the end: {missing}; move once more")


async def _move(source: StoreUrl, target: StoreUrl, settings: Settings, given: store_sides.Given) -> dict[str, moving.Moved]:
    async with (
        store_sides.opened(source, settings, given, to_write=False) as ours,
        store_sides.opened(target, settings, given, to_write=True) as theirs,
    ):
        if ours.may_be(theirs):
            raise CommandError("both are the same server and prefix, or one is a copy of the other: there is nothing to move")
        now = SystemClock().wall()
        mover = moving.Mover(ours.store, theirs.store, merge, moving.COUNTERS, ours.origin, now)
        with output.waiting("counting the records"):
            count = await mover.count(moving.TABLES)
        with store_access.progress(2 * count) as advance:
            return await mover.move(moving.TABLES, advance)


def tell(loaded: dict[str, int], tables: Counter[str], as_json: bool) -> None:
    """What became of the records that were given."""
    if as_json:
        output.print_json({**loaded, "tables": dict(tables)})
        return
    output.print_text(
        f"{loaded['taken']} records taken, {loaded['kept']} were there already and newer, {loaded['expired']} expired"
    )
    for table, count in sorted(tables.items()):
        click.echo(f"  {output.shown(table)}: {count}")


def _line(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode("utf-8") + b"\n"
