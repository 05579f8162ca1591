"""``resolverd config``: looking at the configuration."""

from pathlib import Path

import click

from resolverd import config as configuration
from resolverd.cli.options import config_option, config_path


@click.group("config")
def command() -> None:
    """Check and show the configuration, and the Postfix lines that fit it."""


@command.command("check")
@config_option
@click.pass_context
def check(ctx: click.Context, config: Path | None) -> None:
    """Every fault at once, with its key; status 78 if there is one."""
    path = config_path(ctx, config)
    settings = configuration.load(path)
    click.echo(f"{configuration.find(path) or 'the built-in defaults'}: no faults")
    for remark in configuration.later(settings):
        click.echo(f"remark: {remark}")


@command.command("show")
@config_option
@click.pass_context
def show(ctx: click.Context, config: Path | None) -> None:
    """The configuration in force, defaults included, secrets hidden."""
    click.echo(configuration.render(configuration.load(config_path(ctx, config))), nl=False)


@command.command("postfix")
@config_option
@click.pass_context
def postfix(ctx: click.Context, config: Path | None) -> None:
    """The lines of main.cf for this very configuration."""
    from resolverd.config.postfix import main_cf

    click.echo(main_cf(configuration.load(config_path(ctx, config))), nl=False)
