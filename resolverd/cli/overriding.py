"""``resolverd allow`` and ``resolverd deny``, which differ in one word."""

import getpass
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from resolverd import config as configuration
from resolverd.cli import output
from resolverd.cli.daemon import Daemon, Unreachable, no_daemon
from resolverd.cli.options import config_option, config_path, json_option
from resolverd.overrides.rules import SCOPES, BadOverride, subject_of

SAID: Final = {"allow": "allowed", "deny": "denied"}


def command(action: str, text: str, *options: Callable[[Any], Any]) -> click.Command:
    """The command for this action, with this help, and with options of its own, which are flags."""

    @click.command(action, help=text)
    @click.argument("subject", required=False, metavar="IP|CIDR|DOMAIN|SENDER")
    @click.option("--to", metavar="RECIPIENT", help="Only for mail to this address, or to this domain.")
    @click.option("--scope", type=click.Choice(SCOPES), help="What an allowance reaches; default all.")
    @click.option("--for", "lasting", metavar="DURATION", help="1h, 30d …; for good unless given, or with -1.")
    @click.option("--force", is_flag=True, help="Though it reaches everybody's domains (com, co.uk) or a very large network.")
    @click.option("--reason", metavar="TEXT", help="Why; never told to the client.")
    @click.option("--from-id", metavar="ID", help="The verdict that was the occasion; its client is meant unless one is named.")
    @click.option("--owner", metavar="NAME", default=None, help="Who says so; default the user's name.")
    @json_option
    @config_option
    @click.pass_context
    def run(
        ctx: click.Context, /, subject: str | None, as_json: bool, config: Path | None, **given: str | bool | None
    ) -> None:
        if subject is None and given["from_id"] is None:
            raise click.UsageError("say who is meant: IP, CIDR, DOMAIN, SENDER, or a verdict by --from-id")
        named = {"for" if name == "lasting" else name: value for name, value in given.items()}
        texts = {name: "true" if value is True else value for name, value in named.items() if value}
        query = {"action": action, "owner": user(), **texts}
        daemon = Daemon(configuration.load(config_path(ctx, config)))
        try:
            done = daemon.put("v1", "overrides", *([canonical(subject)] if subject is not None else []), query=query)
        except Unreachable:
            raise no_daemon(daemon) from None
        if as_json:
            output.print_json(done)
        else:
            click.echo(sentence(done))

    for option in options:
        run = option(run)
    return run


def canonical(subject: str) -> str:
    """A subject as the daemon has it. Raises BadParameter."""
    try:
        return subject_of(subject)
    except BadOverride as error:
        raise click.BadParameter(str(error), param_hint="SUBJECT") from None


def user() -> str:
    """Who types this: for the list of overrides and the audit log."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return f"uid {os.getuid()}"


def sentence(override: dict[str, Any]) -> str:
    """An override in words."""
    scope = "" if override["scope"] == "all" else f", as far as {override['scope']} goes"
    to = f" to write to {override['to']}" if override["to"] else ""
    until = f"until {output.moment(override['until'])}" if override["until"] else "for good"
    until = f"put off (450) {until}" if override["temporary"] else until
    return output.shown(f"{override['subject']} is {SAID[override['action']]}{to}{scope}, {until}")
