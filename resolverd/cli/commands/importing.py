"""``resolverd import``: taking over what another program has learnt."""

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import click

from resolverd import config as configuration
from resolverd.app.screening import greylist_rules
from resolverd.cli import keeping
from resolverd.cli.commands.store import tell
from resolverd.cli.options import Failed, config_option, config_path, json_option
from resolverd.config.secrets import BadValue
from resolverd.config.values import duration
from resolverd.flow.archive import Stored
from resolverd.flow.greylisting import CLIENTS, TRIPLETS
from resolverd.mail import postgrey as postgrey_database
from resolverd.mail.greylist import GreylistRules, encode_client, encode_triplet
from resolverd.mail.postgrey import Taken

_DATABASES: Final = ("postgrey.db", "postgrey_clients.db")
_PATIENCE: Final = 600.0
"""Seconds for Berkeley DB's own tools."""


@click.group("import")
def command() -> None:
    """Take over what another program has learnt."""


@command.command("postgrey")
@click.argument("source", metavar="DIR|DUMP", type=click.Path(exists=True, path_type=Path))
@click.option("--delay", metavar="DURATION", help="What Postgrey was run with, --delay=300 is \"300s\"; else greylist.delay.")
@json_option
@config_option
@click.pass_context
def postgrey(ctx: click.Context, source: Path, delay: str | None, as_json: bool, config: Path | None) -> None:
    """Take over Postgrey's triplets and clients: from its directory, or from what db5.3_dump wrote of its databases.

    The directory (on Debian /var/lib/postgrey) is only read, and may be in use. That needs Debian's package db5.3-util.
    What is there already and newer stays.
    """
    settings = configuration.load(config_path(ctx, config))
    try:
        waited = int(settings.greylist.delay if delay is None else duration(delay))
    except BadValue as error:
        raise click.BadParameter(str(error), param_hint="--delay") from None
    rules = greylist_rules(settings)
    lines = _directory(source) if source.is_dir() else _file(source)
    try:
        taken = postgrey_database.take(postgrey_database.entries(lines), waited, rules)
    except ValueError as error:
        raise Failed(f"{source}: {error}") from None
    if taken.hashed:
        click.echo(f"{taken.hashed} entries are hashed (Postgrey's --privacy) and cannot be taken over", err=True)
    if taken.odd:
        click.echo(f"{taken.odd} entries are none of Postgrey's and were passed over", err=True)
    records = list(_records(taken, rules))
    tell(keeping.load(settings, records)._asdict(), Counter(record.table for record in records), as_json)


def _records(taken: Taken, rules: GreylistRules) -> Iterator[Stored]:
    for key, known in taken.triplets.items():
        yield Stored(TRIPLETS, key, encode_triplet(known), known.expires(rules))
    for key, client in taken.clients.items():
        yield Stored(CLIENTS, key, encode_client(client), client.expires(rules))


def _file(source: Path) -> Iterator[bytes]:
    with source.open("rb") as file:
        yield from file


def _directory(source: Path) -> Iterator[bytes]:
    """The dump of both databases in a directory, with what stands in Berkeley DB's log only: a Postgrey that was killed, or
    still runs, has not written it to the databases. A copy is recovered; databases first and logs after them, as Berkeley DB's
    manual has it for backups of live databases."""
    if not (source / _DATABASES[0]).is_file():
        raise Failed(f"{source} has no {_DATABASES[0]}: Debian's Postgrey keeps it in /var/lib/postgrey")
    recover, dump = _tool("recover"), _tool("dump")
    with TemporaryDirectory(prefix="resolverd-") as copy:
        here = Path(copy)
        databases = [name for name in _DATABASES if (source / name).is_file()]
        for file in (*(source / name for name in databases), *sorted(source.glob("log.*"))):
            shutil.copyfile(file, here / file.name)
        _run([recover, "-c", "-h", copy])
        for name in databases:
            output = here / f"{name}.dump"
            _run([dump, "-f", str(output), "-h", copy, name])
            yield from _file(output)


def _tool(name: str) -> str:
    for candidate in (f"db5.3_{name}", f"db_{name}"):
        if found := shutil.which(candidate):
            return found
    raise Failed(f"db5.3_{name} is missing: apt install db5.3-util, or give a dump made elsewhere with db5.3_dump")


def _run(arguments: list[str]) -> None:
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, errors="replace", timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise Failed(f"{arguments[0]} does not come to an end") from None
    if done.returncode:
        raise Failed(f"{arguments[0]}: {done.stderr.strip() or f'status {done.returncode}'}")
