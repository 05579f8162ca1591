"""``resolverd allow``: let somebody through."""

from resolverd.cli import overriding

command = overriding.command(
    "allow",
    "Let somebody through from now on, whatever lists, checks and greylisting say.\n\n"
    "A DOMAIN is meant with everything below it: clients whose name lies there and leads back to them. "
    "`resolverd overrides` shows what is in force, `resolverd overrides forget` takes it back.",
)
