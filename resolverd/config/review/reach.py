"""Who may ask, and who is asked: open doors, loops, and resolvers that lists refuse."""

import json
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import Final

from resolverd.config.endpoints import Listen
from resolverd.config.lists import enabled_lists
from resolverd.config.public_resolvers import PUBLIC_RESOLVERS
from resolverd.config.review.warning import ConfigWarning
from resolverd.config.settings import Forward, Settings, Stub
from resolverd.dnsbl.spec import ListSpec
from resolverd.mail.patterns import IPNetwork
from resolverd.wire.ask import Server
from resolverd.wire.names import Name, from_text, is_subdomain, lower

_WIDEST: Final = {4: 12, 6: 29}
"""Prefix lengths: what is wider than that and not private (RFC 1918, CGN, ULA …) belongs to no one who runs a mail server."""


def is_wide(network: IPNetwork) -> bool:
    """Whether strangers are in it, for its size alone."""
    return network.prefixlen < _WIDEST[network.version] and network.is_global


def open_resolver(settings: Settings) -> Iterator[ConfigWarning]:
    """Strangers may ask: used to attack others (RFC 5358), and lists refuse it."""
    wide = [str(each) for each in settings.dns.allow if is_wide(each)]
    if wide and any(not ip_address(where.host).is_loopback for _, where in listeners(settings)):
        text = f"has {wide[0]}: an open resolver, with which others are attacked (RFC 5358), and which lists refuse"
        rest = dict.fromkeys(["127.0.0.0/8", "::1/128", *(str(each) for each in settings.dns.allow if not is_wide(each))])
        yield ConfigWarning("dns-open", "dns.allow", text, ("[dns]", _line("allow", rest)), grave=True)


def everybody_trusted(settings: Settings) -> Iterator[ConfigWarning]:
    """Strangers' mail is not looked at."""
    wide = [str(each) for each in settings.policy.trusted_networks if is_wide(each)]
    if wide:
        text = f"has {wide[0]}: mail from all of it passes unseen, unchecked and not greylisted"
        rest = [str(each) for each in settings.policy.trusted_networks if not is_wide(each)]
        fix = ("[policy]", _line("trusted_networks", rest))
        yield ConfigWarning("trusted-wide", "policy.trusted_networks", text, fix, grave=True)


def forwarding_to_itself(settings: Settings) -> Iterator[ConfigWarning]:
    """A question that comes back to its sender is answered by nobody.

    Another loopback address at our port is somebody else's where we do not listen on all of them: so Unbound and we share 53.
    """
    for key, table in upstreams(settings):
        for at, server in enumerate(table.servers):
            if _is_own(settings, server):
                text = f"{_shown(server)} is this daemon itself: what is asked there comes back, and has no answer"
                fix = (f"# delete it; or the whole {key}, if it names no other server",)
                yield ConfigWarning("forward-self", f"{key}.servers[{at}]", text, fix, grave=True)


def forwarding_to_public(settings: Settings) -> Iterator[ConfigWarning]:
    """Lists are asked through a resolver that everybody shares. Keyed ones are not: their names are never forwarded."""
    if not settings.dnsbl.enabled:
        return
    asked: dict[str, list[ListSpec]] = {}
    for spec in enabled_lists(settings):
        if not spec.keyed and (key := _asked_through(settings, spec.zone)) is not None:
            asked.setdefault(key, []).append(spec)
    for key, table in upstreams(settings):
        public = [str(each.address) for each in table.servers if str(each.address) in PUBLIC_RESOLVERS]
        if public and key in asked:
            lists = ", ".join(spec.shown for spec in asked[key])
            who = f"{public[0]} ({PUBLIC_RESOLVERS[public[0]]})"
            text = f"{who} is a public resolver, and lists refuse what comes through one: {lists}"
            fix = (f"# delete {key}: names are then resolved from the root",)
            yield ConfigWarning("forward-public", f"{key}.servers", text, fix, grave=True)


def listeners(settings: Settings) -> Iterator[tuple[str, Listen]]:
    """Every address at which clients ask, by TLS too, with its key."""
    tls = settings.dns.tls
    for key, found in (("dns.listen", settings.dns.listen), ("dns.tls.listen", tls.listen if tls is not None else ())):
        for at, where in enumerate(found):
            yield f"{key}[{at}]", where


def upstreams(settings: Settings) -> Iterator[tuple[str, Forward | Stub]]:
    """Every forward and stub zone with its key."""
    tables: tuple[tuple[str, Sequence[Forward | Stub]], ...] = (
        ("forward", settings.resolver.forward), ("stub", settings.resolver.stub),
    )  # fmt: skip
    for kind, found in tables:
        for at, table in enumerate(found):
            yield f"resolver.{kind}[{at}]", table


def zone_of(table: Forward | Stub) -> Name:
    """The zone that is asked there."""
    return lower(from_text(table.zone))


def _asked_through(settings: Settings, name: Name) -> str | None:
    """The key of the forward or stub zone that holds a name: of several the one nearest to it."""
    holding = [(key, zone_of(table)) for key, table in upstreams(settings) if is_subdomain(name, zone_of(table))]
    return max(holding, key=lambda each: len(each[1]), default=(None, b""))[0]


def _is_own(settings: Settings, server: Server) -> bool:
    own = {*settings.resolver.outgoing_addresses, *settings.watch.addresses}
    for _, where in listeners(settings):
        host = ip_address(where.host)
        if where.port != server.port or host.version != server.address.version:
            continue
        # Linux takes the unspecified address, as a destination, for loopback.
        if server.address == host or (server.address.is_unspecified and host.is_loopback):
            return True
        if host.is_unspecified and (server.address.is_loopback or server.address in own):
            return True
    return False


def _shown(server: Server) -> str:
    return str(server.address) if server.port == 53 else f"{server.address} port {server.port}"


def _line(key: str, values: Iterable[str]) -> str:
    return f"{key} = {json.dumps([*map(str, values)])}"
