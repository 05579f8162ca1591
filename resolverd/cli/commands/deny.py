"""``resolverd deny``: refuse somebody."""

import click

from resolverd.cli import overriding

command = overriding.command(
    "deny",
    "Refuse somebody from now on. Doing it again is harmless, so that fail2ban may call it: "
    "`resolverd deny <ip> --temporary --for 1h --reason fail2ban`.\n\n"
    "A DOMAIN is meant with everything below it: as the client's name, in HELO, or of the sender.\n\n"
    "A temporary denial costs no good mail: who comes again when it has ended is let in. It is a matter between the client and "
    "the policy service: for the zones, where every listing refuses for good, it does not exist.",
    click.option("--temporary", is_flag=True, help="Put off (450) while it lasts, instead of refusing for good (554)."),
)
