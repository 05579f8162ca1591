"""``resolverd overrides``: what was allowed and denied by hand."""

from pathlib import Path
from typing import Any

import click

from resolverd import config as configuration
from resolverd.cli import output
from resolverd.cli.daemon import Daemon, Unreachable, no_daemon
from resolverd.cli.options import config_option, config_path, json_option
from resolverd.cli.overriding import canonical, user
from resolverd.overrides.rules import ACTIONS, SCOPES

_COLUMNS = ("action", "subject", "to", "scope", "owner", "since", "until", "hits", "last", "reason", "id")


@click.group("overrides", invoke_without_command=True)
@json_option
@config_option
@click.pass_context
def command(ctx: click.Context, as_json: bool, config: Path | None) -> None:
    """Those in force: who said so, since when, until when, and how often they counted."""
    path = config_path(ctx, config)
    if ctx.invoked_subcommand is not None:
        return
    daemon = Daemon(configuration.load(path))
    try:
        found = daemon.get("v1", "overrides")
    except Unreachable:
        raise no_daemon(daemon) from None
    if as_json:
        output.print_json(found)
        return
    output.print_table(_COLUMNS, map(_row, found["overrides"]), right=("hits",))


@command.command("forget")
@click.argument("subject", metavar="IP|CIDR|DOMAIN|SENDER")
@click.option("--action", type=click.Choice(ACTIONS), help="Only what allows, or only what denies.")
@click.option("--scope", type=click.Choice(SCOPES), help="Only those of this scope.")
@click.option("--to", metavar="RECIPIENT", help="Only those for this recipient; '' for those that hold for all.")
@click.option("--of", metavar="NAME", help="Only those of this owner.")
@json_option
@config_option
@click.pass_context
def forget(ctx: click.Context, /, subject: str, as_json: bool, config: Path | None, **given: str | None) -> None:
    """Take back what was said of a subject."""
    query = {"owner": user(), **{name: value for name, value in given.items() if value is not None}}
    daemon = Daemon(configuration.load(config_path(ctx, config)))
    try:
        done = daemon.delete("v1", "overrides", canonical(subject), query=query)
    except Unreachable:
        raise no_daemon(daemon) from None
    if as_json:
        output.print_json(done)
    else:
        click.echo(f"{done['forgotten']} overrides forgotten")


def _row(override: dict[str, Any]) -> tuple[object, ...]:
    notes = ", ".join(note for note in ("temporary", "overruled") if override[note])
    action = f"{override['action']} ({notes})" if notes else override["action"]
    times = (output.moment(override["since"]), output.moment(override["until"]) or "for good")
    return (
        action, override["subject"], override["to"], override["scope"], override["owner"], *times, override["hits"],
        output.moment(override["last"]), override["reason"], override["from_id"],
    )  # fmt: skip
