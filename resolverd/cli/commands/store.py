"""``resolverd store``: the records that are kept, for backup and for moving."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import IO

import click

from resolverd import __version__
from resolverd import config as configuration
from resolverd.cli import output, store_access
from resolverd.cli.options import CommandError, SuggestingGroup, config_option, json_option
from resolverd.greylist import postgrey
from resolverd.greylist.decide import decode_triplet
from resolverd.greylist.service import TRIPLETS
from resolverd.servers.http import dump_format
from resolverd.state.dump import Stored

_MAX_TOLD = 20


@click.group("store", cls=SuggestingGroup)
def command() -> None:
    """Dump and load what the daemon keeps: greylist, quotas, overrides."""


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
    out.write(_line(dump_format.headline(__version__)))
    for record in found:
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
