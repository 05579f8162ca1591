"""``resolverd replay``: what today's configuration would have said to mail that has come already."""

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from resolverd import config as configuration
from resolverd.cli import output, replay_output, stored_verdicts
from resolverd.cli.configurations import Configurations
from resolverd.cli.options import json_option, short_config_option
from resolverd.cli.words import Choice
from resolverd.ops.replay.compare import Comparison
from resolverd.ops.replay.judge import Kept


@click.command("replay")
@click.option("--stored", is_flag=True, help="Replay the verdicts kept in the store (7 days), with their evidence.")
@click.option("--add", "added", metavar="LIST", multiple=True, help="As if this list were asked as well; may be repeated.")
@click.option("--drop", "dropped", metavar="LIST", multiple=True, help="As if this list were not asked; may be repeated.")
@click.option(
    "--config", "other", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Replay with this configuration; -c says which daemon or store has the verdicts.",
)  # fmt: skip
@click.option("--format", "form", type=Choice(("text", "json")), default="text", show_default=True)
@json_option
@short_config_option
def command(
    stored: bool,
    added: tuple[str, ...],
    dropped: tuple[str, ...],
    other: Path | None,
    form: str,
    as_json: bool,
    config: Path | None,
) -> None:
    """What the configuration as it is now would have said to mail that has come already.

    Changed verdicts come first, then what each list is worth. What the evidence does not hold is unknown, and never guessed.
    Nothing is asked and nothing is changed.
    """
    settings = configuration.load(config)
    now = time.time()
    judged_by = Configurations(configuration.load(other) if other else settings, stored_verdicts.overrides(settings))
    for fault in judged_by.faults:
        click.echo(f"resolverd: {output.shown(str(fault))}", err=True)
    base = judged_by.with_lists(judged_by.lists)
    variants, new = judged_by.variants(dict.fromkeys(added), dict.fromkeys(dropped)) if added or dropped else ([], base)
    comparison = Comparison(base, new, variants, int(now))
    for each in _counted(stored_verdicts.kept(settings, now)):
        comparison.add(each)
    if as_json or form == "json":
        output.print_json(replay_output.document(comparison.summary))
    else:
        replay_output.show(comparison.summary)


def _counted(found: Iterable[Kept]) -> Iterator[Kept]:
    """The same; on a terminal it is seen how many."""
    if not sys.stderr.isatty():
        yield from found
        return
    with click.progressbar(found, label="verdicts", file=sys.stderr, show_pos=True) as bar:
        yield from bar
