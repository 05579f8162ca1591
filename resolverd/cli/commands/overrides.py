"""``resolverd allow``, ``deny`` and ``overrides``: allowing and denying by hand, and what is in force."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from resolverd import config as configuration
from resolverd.cli import output
from resolverd.cli.daemon import DaemonClient
from resolverd.cli.options import SuggestingGroup, config_option, json_option, user
from resolverd.cli.words import Choice
from resolverd.overrides.rules import ACTIONS, SCOPES, BadOverride, subject_of

_COLUMNS = ("action", "subject", "to", "scope", "owner", "since", "until", "hits", "last", "reason", "id")
_SAID: Final = {"allow": "allowed", "deny": "denied"}


def _change(action: str, text: str, *options: Callable[[Any], Any]) -> click.Command:
    """The command for this action, with this help, and with options of its own, which are flags."""

    @click.command(action, help=text)
    @click.argument("subject", required=False, metavar="IP|CIDR|DOMAIN|SENDER")
    @click.option("--to", metavar="RECIPIENT", help="Only for mail to this address, or to this domain.")
    @click.option("--scope", type=Choice(SCOPES), help="What an allowance reaches; default all.")
    @click.option("--for", "lasting", metavar="DURATION", help="1h, 30d …; for good unless given, or with -1.")
    @click.option("--force", is_flag=True, help="Though it reaches everybody's domains (com, co.uk) or a very large network.")
    @click.option("--reason", metavar="TEXT", help="Why; never shown to the client.")
    @click.option("--from-id", metavar="ID", help="The verdict that was the occasion; its client is meant unless one is named.")
    @click.option("--owner", metavar="NAME", default=None, help="Who says so; default the user's name.")
    @json_option
    @config_option
    def run(subject: str | None, as_json: bool, config: Path | None, **given: str | bool | None) -> None:
        if subject is None and given["from_id"] is None:
            raise click.UsageError("say who is meant: IP, CIDR, DOMAIN, SENDER, or a verdict by --from-id")
        named = {"for" if name == "lasting" else name: value for name, value in given.items()}
        texts = {name: "true" if value is True else value for name, value in named.items() if value}
        query = {"action": action, "owner": user(), **texts}
        daemon = DaemonClient(configuration.load(config))
        done = daemon.put("v1", "overrides", *([_canonical(subject)] if subject is not None else []), query=query)
        if as_json:
            output.print_json(done)
        else:
            output.print_text(_sentence(done))

    for option in options:
        run = option(run)
    return run


allow = _change(
    "allow",
    "Let somebody through from now on, whatever is said against them.\n\n"
    "A DOMAIN is meant with everything below it: clients whose name lies there and leads back to them. "
    "`resolverd overrides` shows what is in force, `resolverd overrides forget` takes it back.",
)


deny = _change(
    "deny",
    "Refuse somebody from now on. Doing it again is harmless, so that fail2ban may call it: "
    "`resolverd deny <ip> --temporary --for 1h --reason fail2ban`.\n\n"
    "A DOMAIN is meant with everything below it: as the client's name, in HELO, or of the sender.\n\n"
    "A temporary denial costs no good mail: who comes again when it has ended is let in. It is a matter between the client and "
    "the policy service: for the zones, where every listing refuses for good, it does not exist.",
    click.option("--temporary", is_flag=True, help="Put off (450) while it lasts, instead of refusing for good (554)."),
)


@click.group("overrides", cls=SuggestingGroup, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context, as_json: bool, config: Path | None) -> None:
    """What was allowed and denied by hand and is in force.

    Who said so, since when, until when, and how often it counted.

    \b
    allow      let through, as far as its scope reaches
    deny       refused for good (554)
    temporary  of a denial: put off (450) while it lasts
    overruled  it does not count: another for the same client does
    """
    if ctx.invoked_subcommand is not None:
        return
    found = DaemonClient(configuration.load(config)).get("v1", "overrides")
    if as_json:
        output.print_json(found)
        return
    output.print_table(_COLUMNS, map(_row, found["overrides"]), right=("hits",), prose=("reason",), empty="no overrides")


@command.command("forget")
@click.argument("subject", metavar="IP|CIDR|DOMAIN|SENDER")
@click.option("--action", type=Choice(ACTIONS), help="Only what allows, or only what denies.")
@click.option("--scope", type=Choice(SCOPES), help="Only those of this scope.")
@click.option("--to", metavar="RECIPIENT", help="Only those for this recipient; '' for those that hold for all.")
@click.option("--of", metavar="NAME", help="Only those of this owner.")
@json_option
@config_option
def forget(subject: str, as_json: bool, config: Path | None, **given: str | None) -> None:
    """Take back what was said of a subject."""
    query = {"owner": user(), **{name: value for name, value in given.items() if value is not None}}
    daemon = DaemonClient(configuration.load(config))
    done = daemon.delete("v1", "overrides", _canonical(subject), query=query)
    if as_json:
        output.print_json(done)
    else:
        click.echo(f"{done['forgotten']} overrides forgotten")


def _canonical(subject: str) -> str:
    """A subject as the daemon has it. Raises BadParameter."""
    try:
        return subject_of(subject)
    except BadOverride as error:
        raise click.BadParameter(str(error), param_hint="SUBJECT") from None


def _sentence(override: dict[str, Any]) -> str:
    """An override in words."""
    scope = "" if override["scope"] == "all" else f", as far as {override['scope']} goes"
    to = f" to write to {override['to']}" if override["to"] else ""
    until = f"until {output.moment(override['until'])}" if override["until"] else "for good"
    until = f"put off (450) {until}" if override["temporary"] else until
    return output.shown(f"{override['subject']} is {_SAID[override['action']]}{to}{scope}, {until}")


def _row(override: dict[str, Any]) -> tuple[object, ...]:
    notes = ", ".join(note for note in ("temporary", "overruled") if override[note])
    action = f"{override['action']} ({notes})" if notes else override["action"]
    times = (output.moment(override["since"]), output.moment(override["until"]) or "for good")
    return (
        action, override["subject"], override["to"], override["scope"], override["owner"], *times, override["hits"],
        output.moment(override["last"]), override["reason"], override["from_id"],
    )  # fmt: skip
