"""OpenDMARC, the milter of the tutorial's last tip: it knows of SPF only what headers say."""

from __future__ import annotations

from tests.lab.daemon import Daemon, fresh
from tests.lab.namespace import HOST_NAME, Side
from tests.lab.postgrey import accepts

PORT = 8893


def opendmarc(side: Side) -> Daemon:
    """Make an OpenDMARC that refuses what fails, and looks nothing up for SPF itself."""
    directory = fresh("opendmarc")
    config = directory / "opendmarc.conf"
    config.write_text("\n".join([
        f"Socket inet:{PORT}@127.0.0.1",
        f"PidFile {directory}/pid",
        f"AuthservID {HOST_NAME}",
        f"TrustedAuthservIDs {HOST_NAME}",
        "RejectFailures true",
        "SPFIgnoreResults false",
        "SPFSelfValidate false",
        "SoftwareHeader true",
        "PublicSuffixList /usr/share/publicsuffix/public_suffix_list.dat",
        "Syslog false",
        "",
    ]))
    return Daemon("opendmarc", ["opendmarc", "-f", "-c", str(config)], side, lambda: accepts(side, PORT))
