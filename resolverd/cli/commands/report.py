"""``resolverd report``: what a mail log says of a day."""

from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import click

from resolverd import config as configuration
from resolverd.cli import maillog_files, output
from resolverd.cli.daemon import DaemonClient
from resolverd.cli.options import CommandError, config_option, json_option
from resolverd.cli.words import Choice
from resolverd.config import Settings
from resolverd.ops import report
from resolverd.ops.maillog import Reader
from resolverd.ops.maillog.stamps import DAY, seconds_of

_ROWS = {"text": 20, "html": 20, "json": 1000}


class _Day(click.ParamType[date]):
    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """A day of the local calendar."""
        if isinstance(value, date):
            return value
        today = date.today()
        if value in ("today", "yesterday"):
            return today - timedelta(days=value == "yesterday")
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no day: today, yesterday or 2026-11-30", param, ctx)


@click.command("report")
@click.argument("maillog", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@click.option("--journal", is_flag=True, help="Read the journal, beside the files that are named.")
@click.option("-d", "--day", type=_Day(), metavar="today|yesterday|DATE", help="Only this day's lines; DATE as 2026-11-30.")
@click.option("--problems-first", is_flag=True, help="Refusals, deferrals and warnings before the traffic.")
@click.option("--rej-add-from", is_flag=True, help="Refusals name the sender, too.")
@click.option("--verbose-msg-detail", is_flag=True, help="Reasons in full.")
@click.option("-q", "--quiet", is_flag=True, help="Leave out sections with nothing in them.")
@click.option("--format", "form", type=Choice(("text", "json", "html")), default="text", show_default=True)
@json_option
@config_option
def command(
    maillog: tuple[Path, ...],
    journal: bool,
    day: date | None,
    problems_first: bool,
    rej_add_from: bool,
    verbose_msg_detail: bool,
    quiet: bool,
    form: str,
    as_json: bool,
    config: Path | None,
) -> None:
    """What the mail server did, from its log: pflogsumm's report, and what the lists, greylisting and fail2ban come to.

    MAILLOG is a file of syslog, as it is or packed (.gz, .xz, .bz2, .zst); several are read in the order in which they are
    named, the oldest first. - is standard input. Else /var/log/mail.log is read; where it is missing, the journal.

    Every figure is of the log, but what lists cost and whom they alone have found: that the running daemon has counted.
    """
    form = "json" if as_json else form
    settings = configuration.load(configuration.find(config))
    files = list(maillog)
    if not files and not journal:
        found = maillog_files.usual()
        files, journal = ([found], False) if found else ([], True)
    begin = seconds_of(datetime.combine(day, time())) if day else 0
    reader = Reader(
        seconds_of(datetime.now()), idents=("resolverd", settings.log.ident), days=(begin, begin + DAY) if day else None
    )
    made = report.Report(add_from=rej_add_from, verbose=verbose_msg_detail)
    for record in maillog_files.records(reader, files, journal=journal, since=datetime.combine(day, time()) if day else None):
        made.take(record)
    lists, why = _lists(settings)
    document = made.document(rows=_ROWS[form], lists=lists, why_no_lists=why)
    read = {"files": [str(each) for each in files], "journal": journal, "lines": reader.lines, "skipped": reader.skipped}
    title = f"Postfix log summaries for {day}" if day else "Postfix log summaries"
    if form == "json":
        output.print_json({"day": str(day) if day else None, "read": read, **document})
    elif form == "html":
        click.echo(report.page(document, title=title), nl=False)
    else:
        click.echo(report.text(document, title=title if day else "", problems_first=problems_first, quiet=quiet), nl=False)


def _lists(settings: Settings) -> tuple[list[dict[str, Any]] | None, str]:
    """How the lists fare, from the running daemon; None and why, where it cannot be asked."""
    try:
        return DaemonClient(settings).get("v1", "lists")["lists"], ""
    except CommandError as error:
        return None, error.format_message()
