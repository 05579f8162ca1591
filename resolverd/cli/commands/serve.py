"""``resolverd serve``."""

from pathlib import Path

import click

from resolverd.cli.options import CommandError, config_option, json_option


@click.command("serve")
@json_option
@config_option
@click.option("--user", metavar="NAME", help="Become this user once all ports are bound; needs root.")
@click.option("--keep-capabilities", is_flag=True, help="With --user: go on even if rights of root's would stay.")
def command(as_json: bool, config: Path | None, user: str | None, keep_capabilities: bool) -> None:
    """Run the daemon in the foreground.

    Logs to stderr; tells systemd when it is ready; SIGHUP rereads the configuration, SIGTERM ends it.

    With --user it binds its ports as root, makes the state directory if it is missing, and then becomes that user, with the
    user's groups and nothing else. What it reads later (configuration, keys, map files), that user must be able to read.

    With --json what keeps it from starting is an object; how it logs is for [log] format to say.
    """
    from resolverd.app.privileges import PrivilegeError
    from resolverd.app.serve import run
    from resolverd.state.statedir import StateInUse

    try:
        run(config, user, keep_capabilities=keep_capabilities)
    except (StateInUse, PrivilegeError) as error:
        raise CommandError(str(error)) from None
