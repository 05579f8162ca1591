"""``resolverd doctor``: what is wrong with the mail server around the daemon, and what to type."""

from pathlib import Path

import click

from resolverd import config as configuration
from resolverd.cli import machine, output
from resolverd.cli.options import config_option, json_option, leave
from resolverd.ops.doctor import Finding, Machine, diagnose


@click.command("doctor")
@click.option(
    "--main-cf",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Else /etc/postfix/main.cf; master.cf beside it.",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing when all is well, as cron likes it.")
@json_option
@config_option
def command(main_cf: Path | None, quiet: bool, as_json: bool, config: Path | None) -> None:
    """What is wrong with the mail server around the daemon, and what to type.

    Postfix's main.cf and master.cf, resolv.conf (the chroot's too), the configuration and the running daemon are read. Nothing
    is changed.

    An error loses good mail or lets strangers in; a warning works for now. Status: 0 all is well, 1 something was found.
    """
    file = configuration.find(config)
    with output.waiting("looking around"):
        found = machine.read(configuration.load(file), file, main_cf)
    findings = diagnose(found)
    if as_json:
        output.print_json({"findings": [{**each._asdict(), "fix": list(each.fix)} for each in findings], "read": _read(found)})
    else:
        _print(findings, found, quiet)
    leave(1 if findings else 0)


def _print(findings: list[Finding], found: Machine, quiet: bool) -> None:
    for each in findings:
        colour = "red" if each.severity == "error" else "yellow"
        output.print_text(f"{each.text} [{each.code}]", label=f"{each.severity}: ", colour=colour)
        for line in each.fix:
            click.echo(f"    {output.shown(line)}")
    if quiet and not findings:
        return
    missing = [name for name, is_read in _read(found).items() if not is_read]
    if missing:
        output.print_text(f"not read: {', '.join(missing)}")
    click.echo(f"{len(findings)} finding{'s' if len(findings) > 1 else ''}" if findings else "nothing is wrong")


def _read(found: Machine) -> dict[str, bool]:
    """What could be looked at."""
    return {
        "main.cf": found.main is not None,
        "master.cf": found.master is not None,
        "resolv.conf": found.resolv is not None,
        "resolv.conf of the chroot": found.chroot_resolv is not None,
        "daemon": found.daemon,
    }
