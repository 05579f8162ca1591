"""The lines of main.cf and resolv.conf that fit a configuration, for each way of using the service.

Everything beside the lines themselves is a comment, so that a whole answer may be pasted: it stands in the place of what a
parameter had before. At first nothing is refused; `enforce` has the lines that refuse.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from resolverd.config.endpoints import Listen
from resolverd.config.lists import enabled_lists
from resolverd.config.map_files import READABLE
from resolverd.config.settings import Settings
from resolverd.dnsbl.spec import ADDRESSES, DOMAIN, ListSpec
from resolverd.mail.findings import Consequence

_QUEUE = Path("/var/spool/postfix")
_FIRST = ("permit_mynetworks", "permit_sasl_authenticated", "reject_unauth_destination", "reject_unlisted_recipient")
_RELAY = "smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination"
_WATCHING = "# To watch first: nothing is refused, the log says reject_warning. To refuse: the same with --enforce.\n"
_TRUST = (1, 2, 3)
"""Levels of trust of an allow list that speak for a client, on dnswl.org's scale."""


def lines(settings: Settings, way: str, *, enforce: bool = False) -> str:
    """The lines for one of `WAYS`; a comment that says why, where this configuration has it off.

    The first says how to comment out what main.cf has in their place: Postfix warns of a parameter that stands there twice.
    """
    text = WAYS[way](settings, enforce)
    names = re.findall(r"^(\w+) =", text, re.MULTILINE)
    return (f"# First comment out what stands there: postconf -# {' '.join(names)}\n" if names else "") + text


def local_domains(settings: Settings, unnamed: Sequence[str]) -> str:
    """The line of config.toml that names the domains which Postfix has (`unnamed`: those that it does not name yet)."""
    if not unnamed:
        return ""
    entries = [*map(str, settings.policy.local_domains), *(each for each in unnamed if _can_be_read(each))]
    left = [each for each in unnamed if not _can_be_read(each)]
    return (
        "\n# Domains that Postfix is final for or relays, which public DNS need not know. In config.toml:\n"
        f"#     [policy]\n#     local_domains = {json.dumps(entries, ensure_ascii=False)}\n"
        + "".join(f"# ({each} cannot be read here: name its domains, or a file that has them)\n" for each in left)
    )


def _can_be_read(entry: str) -> bool:
    kind, colon, _ = entry.partition(":")
    return not colon or kind in READABLE


def _policy(settings: Settings, enforce: bool) -> str:
    if not settings.policy.listen:
        return "# The policy service is off: policy.listen is empty.\n"
    service = f"check_policy_service {{ {_endpoint(settings.policy.listen[0])}, timeout=10s, default_action=DUNNO }}"
    if not enforce:
        return _WATCHING + _RELAY + "\n" + _restrictions(f"warn_if_reject {service}")
    helo = settings.checks.rules()["helo"].consequence is not Consequence.OFF
    return (
        "# `resolverd doctor` then names what can be deleted, as the policy service does it.\n"
        + ("smtpd_helo_required = yes\n" if helo else "")
        + f"{_RELAY}\n{_restrictions(service)}smtpd_data_restrictions = {service}\n"
    )


def _restrictions(*last: str) -> str:
    """The recipient restrictions, with these at the end."""
    return "smtpd_recipient_restrictions =\n    " + ",\n    ".join((*_FIRST, *last)) + "\n"


def _endpoint(where: Listen) -> str:
    if where.path is None:
        return f"inet:{Listen(_local(where.host), where.port)}"
    inside = where.path.relative_to(_QUEUE) if where.path.is_relative_to(_QUEUE) else where.path
    return f"unix:{inside}"


def _nameserver(settings: Settings, enforce: bool) -> str:
    heading = f"# /etc/resolv.conf, and its copy {_QUEUE}/etc/resolv.conf; no other name server beside it\n"
    servers = dict.fromkeys(_local(where.host) for where in settings.dns.listen if where.port == 53)
    if servers:
        return heading + "".join(f"nameserver {server}\n" for server in servers) + "options edns0 trust-ad\n"
    ports = ", ".join(map(str, settings.dns.listen)) or "nothing"
    return (
        f'# resolv.conf knows port 53 only; dns.listen has {ports}. In config.toml:\n#     [dns]\n#     listen = ["127.0.0.1:53",'
        f' "[::1]:53"]\n# then\n{heading}nameserver 127.0.0.1\noptions edns0 trust-ad\n'
    )


def _local(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def _zone(settings: Settings, enforce: bool) -> str:
    origin, kinds = settings.zone.origin.rstrip("."), _listed_kinds(settings)
    first = "" if enforce else "warn_if_reject "
    found = [f"permit_dnswl_client wl.{origin}=127.0.[0..255].[1..3]"] if _allowing(settings) and kinds else []
    if kinds & ADDRESSES:
        found.append(f"{first}reject_rbl_client bl.{origin}")
    if DOMAIN in kinds:
        roles = next(options.names for key, _, options in settings.checks.tables() if key == "checks.rhsbl")
        found += [f"{first}reject_rhsbl_{role} dbl.{origin}" for role in roles]
    if not found:
        return "# No block list is enabled, so there is nothing to ask.\n"
    return ("" if enforce else _WATCHING) + _NEEDS_NAMESERVER + _RELAY + "\n" + _restrictions(*found)


def _postscreen(settings: Settings, enforce: bool) -> str:
    if not _listed_kinds(settings) & ADDRESSES:
        return "# No block list of addresses is enabled, so there is nothing to ask.\n"
    at = settings.listed_at()
    threshold = 1 if at is None else min(max(-int(-at // 1), 1), 127)
    sites = _sites(settings, threshold)
    return (
        "# postscreen stands in front of smtpd: POSTSCREEN_README has the lines of master.cf.\n"
        + ("" if enforce else "# To watch first: ignored, the log says DNSBL rank. To refuse: the same with --enforce.\n")
        + f"{_NEEDS_NAMESERVER}postscreen_dnsbl_action = {'enforce' if enforce else 'ignore'}\n"
        f"postscreen_dnsbl_threshold = {threshold}\npostscreen_dnsbl_sites =\n    " + ",\n    ".join(sites) + "\n"
    )


def _sites(settings: Settings, threshold: int) -> list[str]:
    """The score in points, up to where allow lists can no longer bring it below the threshold, and what those take off it."""
    origin = settings.zone.origin.rstrip(".")
    if settings.listed_at() is None:
        allowed = [f"wl.{origin}=127.0.[0..255].[1..3]*-1"] if _allowing(settings) else []
        return [f"score.{origin}=127.0.2.[1..254]*1", *allowed]
    allowed_points = _allowed_points(settings)
    most = min(threshold + max(allowed_points.values(), default=0), 254)
    first = 1 if allowed_points else threshold
    steps = [f"score.{origin}=127.0.2.{points}*{points}" for points in range(first, most)]
    top = [f"score.{origin}=127.0.2.[{most}..254]*{most}"]
    return [*steps, *top, *(f"wl.{origin}=127.0.[0..255].{trust}*-{points}" for trust, points in allowed_points.items())]


def _allowed_points(settings: Settings) -> dict[int, int]:
    """Whole points that each trust takes off: of several allow lists' the least."""
    found: dict[int, int] = {}
    for spec in _enabled(settings):
        for _, code in spec.codes.codes if spec.allows else ():
            points = int(-(spec.weight if code.weight is None else code.weight))
            if code.trust in _TRUST and points > 0:
                found[code.trust] = min(points, found.get(code.trust, points))
    return dict(sorted(found.items()))


def _enabled(settings: Settings) -> Sequence[ListSpec]:
    return enabled_lists(settings) if settings.dnsbl.enabled else ()


def _allowing(settings: Settings) -> bool:
    """Whether an allow list is on and speaks for anybody."""
    return bool(_allowed_points(settings)) and settings.checks.rules()["dnswl"].consequence is not Consequence.OFF


def _listed_kinds(settings: Settings) -> frozenset[str]:
    """What the block lists that are on list."""
    return frozenset(kind for spec in _enabled(settings) if not spec.allows for kind in spec.kinds)


_NEEDS_NAMESERVER: Final = "# This needs the daemon as Postfix's name server: resolverd config postfix --way nameserver\n"
WAYS: Final[Mapping[str, Callable[[Settings, bool], str]]] = MappingProxyType(
    {"policy": _policy, "zone": _zone, "nameserver": _nameserver, "postscreen": _postscreen}
)
"""Each way of use with what makes its lines."""
