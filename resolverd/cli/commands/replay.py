"""``resolverd replay``: what today's configuration would have said to mail that has come already."""

import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import click

from resolverd import config as configuration
from resolverd.cli import maillog_files, output, replay_output, stored_verdicts
from resolverd.cli.configurations import Configurations
from resolverd.cli.daemon import DaemonClient
from resolverd.cli.options import CommandError, ConfigurationError, json_option, short_config_option
from resolverd.cli.replay_asking import Asking, Counting
from resolverd.cli.words import Choice
from resolverd.config import Settings
from resolverd.failures import ConfigError
from resolverd.ops.maillog import Reader
from resolverd.ops.maillog.stamps import seconds_of
from resolverd.ops.replay.compare import Ask, Comparison
from resolverd.ops.replay.judge import Kept
from resolverd.ops.replay.log import attempts
from resolverd.overrides.matching import OverrideIndex

_Thing = TypeVar("_Thing")


@click.command("replay")
@click.argument("maillog", nargs=-1, type=click.Path(path_type=Path, dir_okay=False, allow_dash=True, exists=True))
@click.option("--stored", is_flag=True, help="The verdicts kept in the store (7 days), as where no log is named.")
@click.option("--add", "added", metavar="LIST", multiple=True, help="As if this list were asked as well; may be repeated.")
@click.option("--drop", "dropped", metavar="LIST", multiple=True, help="As if this list were not asked; may be repeated.")
@click.option("--ask", is_flag=True, help="Ask the lists now what the evidence does not hold; what they say is today's answer.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="Questions of --ask, at most.")
@click.option(
    "--config", "other", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Replay with this configuration; -c says which daemon or store has the verdicts.",
)  # fmt: skip
@click.option("--format", "form", type=Choice(("text", "json")), default="text", show_default=True)
@json_option
@short_config_option
def command(
    maillog: tuple[Path, ...],
    stored: bool,
    added: tuple[str, ...],
    dropped: tuple[str, ...],
    ask: bool,
    limit: int,
    other: Path | None,
    form: str,
    as_json: bool,
    config: Path | None,
) -> None:
    """What the configuration as it is now would have said to mail that has come already.

    MAILLOG is a log of Postfix's, as it is or packed; several are read in the order in which they are named, the oldest first.
    - is standard input. It holds less than the verdicts that are kept: names, HELO, addresses, and the list that a refusal names.

    Changed verdicts come first, then what each list is worth. What was not kept is unknown, and never guessed. Nothing is
    changed, and nothing is asked without --ask: then lists are, within their rates and quotas, of which mail keeps a reserve.
    """
    if maillog and stored:
        raise click.UsageError("either logs or --stored")
    if ask and Path("-") in maillog:
        raise click.UsageError("--ask reads twice, first for what it costs: give a file in place of -")
    settings = configuration.load(config)
    judged_by = Configurations(_other(other) if other else settings, _overrides(settings, needed=not maillog))
    for fault in judged_by.faults:
        click.echo(f"resolverd: {output.shown(str(fault))}", err=True)
    base = judged_by.with_lists(judged_by.lists)
    variants, new = judged_by.variants(dict.fromkeys(added), dict.fromkeys(dropped)) if added or dropped else ([], base)
    now = time.time()

    def compared(asking: Ask | None) -> Comparison:
        comparison = Comparison(base, new, variants, int(now), oldest_first=bool(maillog), ask=asking)
        for each in _attempts(settings, maillog, now):
            comparison.add(each)
        return comparison

    asking = None
    if ask:
        counting = Counting(limit)
        compared(counting)
        asking = _asked(DaemonClient(settings), counting)
    comparison = compared(asking)
    if as_json or form == "json":
        output.print_json(replay_output.document(comparison.summary))
    else:
        replay_output.show(comparison.summary)


def _other(file: Path) -> Settings:
    try:
        return configuration.load(file)
    except ConfigError as error:
        raise ConfigurationError(file, error.faults) from None


def _attempts(settings: Settings, maillog: tuple[Path, ...], now: float) -> Iterator[Kept]:
    if not maillog:
        yield from _counted(stored_verdicts.kept(settings, now), "verdicts")
        return
    reader = Reader(seconds_of(datetime.now()), idents=("resolverd", settings.log.ident))
    yield from attempts(maillog_files.records(reader, maillog, journal=False))


def _asked(daemon: DaemonClient, counting: Counting) -> Asking:
    """What lists say now, after it was said what that costs."""
    left = {each["id"]: each["quota_left"] for each in daemon.get("v1", "lists")["lists"]}
    for name, count in counting.costs().items():
        quota = left.get(name)
        of = f" of {quota} that are left of its quota" if quota is not None else ""
        click.echo(f"resolverd: asking {name} {count} questions at the most{of}; the reserve for mail stays", err=True)
    asking = Asking(daemon, counting.wanted)
    for lookup in _counted(counting.wanted, "asking"):
        asking.ask(lookup)
    for name, why in asking.given_up.items():
        click.echo(f"resolverd: {name} is asked no more: {output.shown(why)}", err=True)
    return asking


def _overrides(settings: Settings, *, needed: bool) -> OverrideIndex:
    """What was allowed and denied by hand; where that cannot be read, nothing, unless it is `needed`."""
    try:
        return stored_verdicts.overrides(settings)
    except CommandError as error:
        if needed:
            raise
        click.echo(f"resolverd: replayed without overrides: {output.shown(error.message)}", err=True)
        return OverrideIndex()


def _counted(found: Iterable[_Thing], label: str) -> Iterator[_Thing]:
    """The same; on a terminal it is seen how many."""
    if not sys.stderr.isatty():
        yield from found
        return
    with click.progressbar(found, label=label, file=sys.stderr, show_pos=True) as bar:
        yield from bar
