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
from resolverd.app.allow_files import CLIENTS as CLIENTS_FILE
from resolverd.app.allow_files import RECIPIENTS as RECIPIENTS_FILE
from resolverd.app.policy import greylist_rules
from resolverd.cli import allow_files, output, store_access
from resolverd.cli.commands.store import tell
from resolverd.cli.daemon import DaemonClient, Refused, Unreachable
from resolverd.cli.options import CommandError, SuggestingGroup, config_option, json_option
from resolverd.config.secrets import BadValue
from resolverd.config.values import duration
from resolverd.greylist import postgrey as postgrey_database
from resolverd.greylist.allow_files import client_lines, recipient_lines
from resolverd.greylist.decide import GreylistRules, encode_client, encode_triplet
from resolverd.greylist.postgrey import Imported
from resolverd.greylist.service import CLIENTS, TRIPLETS
from resolverd.state.dump import Stored

_DATABASES: Final = ("postgrey.db", "postgrey_clients.db")
_TIMEOUT: Final = 600.0
"""Seconds for Berkeley DB's own tools."""
_MAX_TOLD: Final = 20


@click.group("import", cls=SuggestingGroup)
def command() -> None:
    """Take over what another program has learnt."""


@command.command("postgrey")
@click.argument("source", metavar="DIR|DUMP", type=click.Path(exists=True, path_type=Path))
@click.option("--delay", metavar="DURATION", help="What Postgrey was run with, --delay=300 is \"300s\"; else greylist.delay.")
@json_option
@config_option
def postgrey(source: Path, delay: str | None, as_json: bool, config: Path | None) -> None:
    """Take over Postgrey's triplets and clients: from its directory, or from what db5.3_dump wrote of its databases.

    The directory (on Debian /var/lib/postgrey) is only read, and may be in use. That needs Debian's package db5.3-util.
    What is there already and newer stays.
    """
    settings = configuration.load(config)
    try:
        waited = int(settings.greylist.delay if delay is None else duration(delay))
    except BadValue as error:
        raise click.BadParameter(str(error), param_hint="--delay") from None
    rules = greylist_rules(settings)
    lines = _directory(source) if source.is_dir() else _file(source)
    try:
        imported = postgrey_database.from_postgrey(postgrey_database.entries(lines), waited, rules)
    except ValueError as error:
        raise CommandError(f"{source}: {error}") from None
    if imported.hashed:
        click.echo(f"{imported.hashed} entries are hashed (Postgrey's --privacy) and cannot be taken over", err=True)
    if imported.odd:
        click.echo(f"{imported.odd} entries are none of Postgrey's and were passed over", err=True)
    records = list(_records(imported, rules))
    tell(store_access.load(settings, records)._asdict(), Counter(record.table for record in records), as_json)


@command.command("whitelist")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--clients/--recipients", "as_clients", default=None, help="What it names; else recipients if FILE's name says so.")
@json_option
@config_option
def whitelist(file: Path, as_clients: bool | None, as_json: bool, config: Path | None) -> None:
    """Take over who is never greylisted: Postgrey's whitelist_clients or whitelist_recipients, or any list of host names,
    addresses and networks, or of recipients, one a line.

    FILE.local is read as well where there is one. The entries go to allow_clients or allow_recipients in the state directory,
    which the daemon reads besides the files of greylist.allow_clients and allow_recipients. Faulty lines are named and passed
    over; what is there already stays as it is.
    """
    settings = configuration.load(config)
    directory = settings.state_directory()
    if directory is None:
        text = "nothing is stored: [store] url is memory:; name the file in greylist.allow_clients or allow_recipients"
        raise CommandError(text)
    of_recipients = "recipient" in file.name if as_clients is None else not as_clients
    lines: dict[str, str] = {}
    faults: list[str] = []
    for path in (file, file.with_name(f"{file.name}.local")):
        if path == file or path.exists():
            text = path.read_text("utf-8", "replace")
            more, faulty = (recipient_lines if of_recipients else client_lines)(text)
            lines = more | lines
            faults += [f"{path} {fault}" for fault in faulty]
    for fault in faults[:_MAX_TOLD]:
        click.echo(f"resolverd: {output.shown(fault)}: not taken", err=True)
    if len(faults) > _MAX_TOLD:
        click.echo(f"resolverd: {len(faults) - _MAX_TOLD} more lines that are not taken", err=True)
    if faults and not lines:
        raise CommandError(f"{file} has no line that names {'recipients' if of_recipients else 'clients'}: nothing was taken")
    into = directory / (RECIPIENTS_FILE if of_recipients else CLIENTS_FILE)
    added = allow_files.add(into, lines, output.shown(file.absolute()), of_recipients=of_recipients)
    if added.taken:
        _reread(DaemonClient(settings))
    if as_json:
        kind = "recipients" if of_recipients else "clients"
        output.print_json({**added._asdict(), "faulty": len(faults), "kind": kind, "file": str(into)})
    else:
        what = "recipients" if of_recipients else "clients"
        output.print_text(f"{added.taken} {what} taken into {into}, {added.kept} were there already")


def _reread(daemon: DaemonClient) -> None:
    try:
        daemon.post("v1", "reload", body={})
    except Unreachable:
        pass  # it reads them when it starts
    except Refused as error:
        click.echo(f"resolverd: the daemon has not read it yet: {error.message}", err=True)


def _records(imported: Imported, rules: GreylistRules) -> Iterator[Stored]:
    for key, known in imported.triplets.items():
        yield Stored(TRIPLETS, key, encode_triplet(known), known.expires(rules))
    for key, client in imported.clients.items():
        yield Stored(CLIENTS, key, encode_client(client), client.expires(rules))


def _file(source: Path) -> Iterator[bytes]:
    with source.open("rb") as file:
        yield from file


def _directory(source: Path) -> Iterator[bytes]:
    """The dump of both databases in a directory, with what stands in Berkeley DB's log only: a Postgrey that was killed, or
    still runs, has not written it to the databases. A copy is recovered; databases first and logs after them, as Berkeley DB's
    manual has it for backups of live databases."""
    if not (source / _DATABASES[0]).is_file():
        raise CommandError(f"{source} has no {_DATABASES[0]}: Debian's Postgrey keeps it in /var/lib/postgrey")
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
    raise CommandError(f"db5.3_{name} is missing: apt install db5.3-util, or give a dump made elsewhere with db5.3_dump")


def _run(arguments: list[str]) -> None:
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise CommandError(f"{arguments[0]} does not come to an end") from None
    if done.returncode:
        raise CommandError(f"{arguments[0]}: {done.stderr.strip() or f'status {done.returncode}'}")
