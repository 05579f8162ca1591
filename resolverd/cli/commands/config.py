"""``resolverd config``: looking at the configuration."""

import time
import tomllib
from pathlib import Path
from typing import Any

import click

from resolverd import config as configuration
from resolverd.cli import output
from resolverd.cli.options import CommandError, SuggestingGroup, config_option, json_option
from resolverd.cli.words import Choice
from resolverd.config import Settings
from resolverd.config.review import review
from resolverd.failures import ConfigError


@click.group("config", cls=SuggestingGroup)
def command() -> None:
    """Check and show the configuration, and Postfix's lines for it."""


@command.command("init")
@click.option("--production", is_flag=True, help="Port 53, and /etc/resolverd/config.toml unless a path is given.")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False), required=False)
@json_option
@config_option
def init(production: bool, path: Path | None, as_json: bool, config: Path | None) -> None:
    """Write config.toml: every key, commented, with its default. What stands there already is left alone.

    Without a path it is the one of -c, else ./config.toml.
    """
    from resolverd.config.template import write

    where = path or config or (configuration.PRODUCTION if production else Path("config.toml"))
    try:
        write(where, production=production)
    except FileExistsError:
        raise CommandError(f"{where} is there already, and stays as it is; name another file, or move that one away") from None
    except OSError as error:
        raise CommandError(f"{where} cannot be written: {error.strerror or error}") from None
    if as_json:
        output.print_json({"written": str(where)})
    else:
        click.echo(f"written: {where}\nnext: resolverd config check -c {where}")


@command.command("check")
@json_option
@config_option
def check(as_json: bool, config: Path | None) -> None:
    """Every fault at once, with its key; status 78 if there is one.

    With a warning the daemon starts, and status is 0: something does less than was meant (of files that are named, what is wrong
    keeps nothing but itself from counting), or does harm; what to write instead stands below it. A remark is nothing wrong.
    """
    found = configuration.find(config)
    settings = configuration.load(found)
    warnings, remarks = _warnings(settings, found), _remarks(settings)
    if as_json:
        file = str(found.absolute()) if found else None
        output.print_json({"configuration": file, "warnings": warnings, "remarks": remarks})
        return
    number = f", {len(warnings)} warning{'s' if len(warnings) > 1 else ''}" if warnings else ""
    output.print_text(f"{found or 'the built-in defaults'}: no faults{number}")
    for each in warnings:
        output.print_text(f"{each['path']}: {each['text']}", label="warning: ", colour="yellow")
        for line in each["fix"]:
            click.echo(f"    {output.shown(line)}")
    for remark in remarks:
        output.print_text(remark, label="remark: ")


def _warnings(settings: Settings, path: Path | None) -> list[dict[str, Any]]:
    """What is said against the configuration, and the files that it names. Raises ConfigError for what keeps it from starting."""
    from resolverd.app import named_files

    external = named_files.read(settings)
    tls = settings.dns.tls
    if tls is not None and external.certificate is None and not _is_hidden(tls.certificate) and not _is_hidden(tls.key):
        raise ConfigError([fault for fault in external.faults if fault.path.startswith("dns.tls")])
    faults = (*external.faults, *named_files.of_zones(settings, path, time.time()))
    reviewed = [{"code": each.code, "path": each.path, "text": each.text, "fix": list(each.fix)} for each in review(settings)]
    return reviewed + [{"code": "file-fault", "path": fault.path, "text": fault.text, "fix": []} for fault in faults]


def _is_hidden(path: Path) -> bool:
    """Whether it is for other users only, so that we cannot tell what they find there."""
    try:
        path.open("rb").close()
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def _remarks(settings: Settings) -> list[str]:
    from resolverd.config.map_files import unnamed

    remarks: list[str] = []
    if found_by_postfix := unnamed(settings):
        text = f"Postfix is final for or relays {', '.join(found_by_postfix)}; what public DNS does not know of these is refused"
        text += " as a sender's domain unless it is named there (`resolverd config postfix` has the line)"
        remarks.append(f"policy.local_domains: {text}")
    return remarks


@command.command("show")
@json_option
@config_option
def show(as_json: bool, config: Path | None) -> None:
    """The configuration in force, defaults included, secrets hidden."""
    text = configuration.render(configuration.load(config))
    if as_json:
        output.print_json(tomllib.loads(text))
    else:
        click.echo(text, nl=False)


@command.command("postfix")
@click.option(
    "--way", type=Choice(("policy", "zone", "nameserver", "postscreen")), default="policy", show_default=True,
    help="How Postfix uses the daemon.",
)  # fmt: skip
@click.option("--enforce", is_flag=True, help="The lines that refuse; without it those that only watch.")
@json_option
@config_option
def postfix(way: str, enforce: bool, as_json: bool, config: Path | None) -> None:
    """The lines of main.cf (nameserver: of resolv.conf) for this very configuration, to be pasted as they are.

    They take the place of what stands there; everything else in the output is a comment.
    """
    from resolverd.config.map_files import unnamed
    from resolverd.config.postfix import lines, local_domains

    settings = configuration.load(config)
    text = lines(settings, way, enforce=enforce)
    if way == "policy":
        text += local_domains(settings, unnamed(settings))
    if as_json:
        output.print_json({"way": way, "enforce": enforce, "lines": text.splitlines()})
    else:
        click.echo(text, nl=False)
