"""``resolverd deny``: refuse somebody."""

from resolverd.cli import overriding

command = overriding.command(
    "deny",
    "Refuse somebody from now on. Doing it again is harmless, so that fail2ban may call it: "
    "`resolverd deny <ip> --for 1h --reason fail2ban`.\n\n"
    "A DOMAIN is meant with everything below it: as the client's name, in HELO, or of the sender.",
)
