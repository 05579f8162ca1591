"""The lines of main.cf and resolv.conf that fit a configuration, for each way of using the service."""

import json
from collections.abc import Sequence
from pathlib import Path

from resolverd.config.endpoints import Listen
from resolverd.config.map_files import READABLE
from resolverd.config.settings import Settings

_QUEUE = Path("/var/spool/postfix")
_PLACE = """\
smtpd_recipient_restrictions =
    permit_mynetworks,
    permit_sasl_authenticated,
    reject_unauth_destination,
    reject_unlisted_recipient,
"""


def main_cf(settings: Settings) -> str:
    """Text to read and copy from: the policy service first, in a form that refuses nothing; then the other ways."""
    parts = [_policy(settings), _nameserver(settings), _zone(settings)]
    return "\n\n".join(part for part in parts if part) + "\n"


def local_domains(settings: Settings, unnamed: Sequence[str]) -> str:
    """The line of config.toml that names the domains which Postfix has (`unnamed`: those that it does not name yet)."""
    if not unnamed:
        return ""
    entries = [*map(str, settings.policy.local_domains), *(each for each in unnamed if _can_be_read(each))]
    left = [each for each in unnamed if not _can_be_read(each)]
    return (
        "\n# 4. Domains that Postfix is final for or relays, which public DNS need not know. In config.toml:\n"
        f"#     [policy]\n#     local_domains = {json.dumps(entries, ensure_ascii=False)}\n"
        + "".join(f"# ({each} cannot be read here: name its domains, or a file that has them)\n" for each in left)
    )


def _can_be_read(entry: str) -> bool:
    kind, colon, _ = entry.partition(":")
    return not colon or kind in READABLE


def _policy(settings: Settings) -> str:
    if not settings.policy.listen:
        return "# The policy service is off (policy.listen is empty)."
    service = f"check_policy_service {{ {_endpoint(settings.policy.listen[0])}, timeout=10s, default_action=DUNNO }}"
    return (
        "# 1. Policy service. To watch first, refusing nothing (see the log for reject_warning):\n"
        f"{_PLACE}    warn_if_reject {service}\n"
        "\n"
        "# … and to refuse, instead of that; the second line lets every header reach the mail:\n"
        f"{_PLACE}    {service}\n"
        f"smtpd_data_restrictions = {service}"
    )


def _endpoint(where: Listen) -> str:
    if where.path is None:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(where.host, where.host)
        return f"inet:{Listen(host, where.port)}"
    inside = where.path.relative_to(_QUEUE) if where.path.is_relative_to(_QUEUE) else where.path
    return f"unix:{inside}"


def _nameserver(settings: Settings) -> str:
    heading = "# 2. Nameserver, in /etc/resolv.conf and in the chroot's copy /var/spool/postfix/etc/resolv.conf:"
    on_port_53 = [where for where in settings.dns.listen if where.port == 53]
    if on_port_53:
        return "\n".join([heading, *(f"nameserver {_local(where.host)}" for where in on_port_53)])
    ports = ", ".join(map(str, settings.dns.listen)) or "nothing"
    return (
        f"{heading}\n# resolv.conf knows port 53 only, and dns.listen has {ports}. In config.toml:\n"
        '#     [dns]\n#     listen = ["127.0.0.1:53", "[::1]:53"]\n'
        "# then\nnameserver 127.0.0.1"
    )


def _local(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def _zone(settings: Settings) -> str:
    origin = settings.zone.origin
    at = settings.zone.listed_at
    score = 6 if at in (None, "any") else int(float(at or 0))
    return (
        "# 3. Combined zone (needs 2.), instead of one line for each list:\n"
        f"{_PLACE}"
        f"    permit_dnswl_client wl.{origin}=127.0.[0..255].[1..3],\n"
        f"    reject_rbl_client bl.{origin},\n"
        f"    reject_rhsbl_helo dbl.{origin},\n"
        f"    reject_rhsbl_reverse_client dbl.{origin},\n"
        f"    reject_rhsbl_sender dbl.{origin}\n"
        "\n"
        "# … or in postscreen:\n"
        "postscreen_dnsbl_action = enforce\n"
        "postscreen_dnsbl_threshold = 3\n"
        f"postscreen_dnsbl_sites = score.{origin}=127.0.2.[{min(max(score, 1), 254)}..254]*3"
    )
