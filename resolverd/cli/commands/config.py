"""``resolverd config``: looking at the configuration."""

from pathlib import Path

import click

from resolverd import config as configuration
from resolverd.cli import output
from resolverd.cli.options import CommandError, SuggestingGroup, config_option, config_path


@click.group("config", cls=SuggestingGroup)
def command() -> None:
    """Check and show the configuration, and the Postfix lines that fit it."""


@command.command("init")
@click.option("--production", is_flag=True, help="Port 53, and /etc/resolverd/config.toml unless a path is given.")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False), required=False)
def init(production: bool, path: Path | None) -> None:
    """Write config.toml: every key, commented, with its default. What stands there already is left alone.

    Without a path it is ./config.toml.
    """
    from resolverd.config.template import write

    where = path or (configuration.PRODUCTION if production else Path("config.toml"))
    try:
        write(where, production=production)
    except FileExistsError:
        raise CommandError(f"{where} is there already, and stays as it is; name another file, or move that one away") from None
    except OSError as error:
        raise CommandError(f"{where} cannot be written: {error.strerror or error}") from None
    click.echo(f"written: {where}\nnext: resolverd config check -c {where}")


@command.command("check")
@config_option
@click.pass_context
def check(ctx: click.Context, config: Path | None) -> None:
    """Every fault at once, with its key; status 78 if there is one.

    What is wrong with files that the configuration names (maps, allow files, root hints, keys) is reported as a warning: it keeps
    nothing but itself from counting, so the daemon starts.
    """
    from resolverd.app import named_files
    from resolverd.config.map_files import unnamed

    path = config_path(ctx, config)
    settings = configuration.load(path)
    warnings = named_files.read(settings).faults
    found = configuration.find(path) or "the built-in defaults"
    click.echo(f"{found}: no faults" + (f", {len(warnings)} warnings about files that it names" if warnings else ""))
    for warning in warnings:
        click.echo(output.shown(f"warning: {warning}"))
    for text in configuration.left_out(settings):
        click.echo(output.shown(f"warning: {text}"))
    for remark in configuration.not_built_keys(settings):
        click.echo(f"remark: {remark}")
    if found_by_postfix := unnamed(settings):
        text = f"Postfix is final for or relays {', '.join(found_by_postfix)}; what public DNS does not know of these is refused"
        text += " as a sender's domain unless it is named there (`resolverd config postfix` has the line)"
        click.echo(output.shown(f"remark: policy.local_domains: {text}"))


@command.command("show")
@config_option
@click.pass_context
def show(ctx: click.Context, config: Path | None) -> None:
    """The configuration in force, defaults included, secrets hidden."""
    click.echo(configuration.render(configuration.load(config_path(ctx, config))), nl=False)


@command.command("postfix")
@click.option(
    "--way", type=click.Choice(("policy", "zone", "nameserver", "postscreen")), default="policy", show_default=True,
    help="How Postfix uses the daemon.",
)  # fmt: skip
@click.option("--enforce", is_flag=True, help="The lines that refuse; without it those that only watch.")
@config_option
@click.pass_context
def postfix(ctx: click.Context, way: str, enforce: bool, config: Path | None) -> None:
    """The lines of main.cf (nameserver: of resolv.conf) for this very configuration, to be pasted as they are.

    They take the place of what stands there; everything else in the output is a comment.
    """
    from resolverd.config.map_files import unnamed
    from resolverd.config.postfix import lines, local_domains

    settings = configuration.load(config_path(ctx, config))
    click.echo(lines(settings, way, enforce=enforce), nl=False)
    if way == "policy":
        click.echo(local_domains(settings, unnamed(settings)), nl=False)
