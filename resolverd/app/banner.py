"""What the daemon says at start: what listens where, which lists are asked on which terms, and what to type next."""

from collections.abc import Sequence

from resolverd import __version__
from resolverd.config import Settings
from resolverd.dnsbl.spec import ListSpec
from resolverd.wire.names import from_text, is_subdomain, lower


def listening(lines: Sequence[tuple[str, str]]) -> list[str]:
    """Version and addresses: (what, where)."""
    return [f"resolverd {__version__}", *(f"  {what:<8} {where}" for what, where in lines)]


def terms(specs: Sequence[ListSpec]) -> list[str]:
    """Each list that is asked, with the terms of its operator."""
    if not specs:
        return ["lists: none is asked"]
    return ["lists that are asked, on their operators' terms:", *(f"  {spec.shown:<24} {spec.terms}" for spec in specs)]


def forward_exceptions(settings: Settings, specs: Sequence[ListSpec]) -> list[str]:
    """What is not forwarded although the configuration forwards its zone: names that carry the key of a list."""
    forwards = [lower(from_text(each.zone)) for each in settings.resolver.forward]
    return [
        f"lists.{spec.id}: questions carry its key, so they are never sent to a forwarder, but resolved from the root"
        for spec in specs
        if spec.keyed and any(is_subdomain(spec.zone, zone) for zone in forwards)
    ]


def next_steps(dns: str, origin: str, command: str) -> list[str]:
    """Commands that show that it works; `command` is how resolverd was called."""
    host, _, port = dns.rpartition(":")
    at = f"@{host.strip('[]')}" + (f" -p {port}" if port != "53" else "")
    return [
        "try it:",
        f"  dig {at} example.com MX",
        f"  dig {at} 2.0.0.127.bl.{origin} TXT     the combined zone's test entry",
        f"  {command} check 192.0.2.1 --helo mail.example.com --sender someone@example.com",
        f"  {command} config postfix          the lines for main.cf",
    ]


_SOUND_SQLITE = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
"""The first version of each branch in which a write-ahead log that is reset can no longer damage the file (sqlite.org,
"WAL-reset bug"); the last one's successors have that too."""


def store_remarks(version: tuple[int, int, int]) -> list[str]:
    """What is to be said of the SQLite that the store is kept with."""
    if version >= _SOUND_SQLITE[-1] or any(version[:2] == sound[:2] and version >= sound for sound in _SOUND_SQLITE):
        return []
    shown, *sound = (".".join(map(str, each)) for each in (version, *_SOUND_SQLITE))
    return [
        f"SQLite {shown} has a fault that can, rarely, damage the store's file (WAL reset); it is mended from {sound[2]} on,"
        f" and in {sound[0]} and {sound[1]}. A damaged store is set aside, and mail passes"
    ]
