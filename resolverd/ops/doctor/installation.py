"""Findings about the configuration and the running daemon."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from resolverd.config.endpoints import Listen
from resolverd.config.lists import catalogue, enabled_lists, left_out, unusable_keys
from resolverd.ops.doctor.finding import Finding, error, warning
from resolverd.ops.doctor.list_lines import asked
from resolverd.ops.doctor.machine import ANY_HOST, Machine
from resolverd.ops.doctor.resolv_conf import PUBLIC

_VOLATILE: Final = ("/tmp", "/var/tmp", "/run", "/var/run", "/dev/shm")
"""Directories that are emptied at a boot or by age (hier(7), file-hierarchy(7))."""
_TROUBLE: Final = {
    "suspended": "answers with errors or nonsense",
    "unreachable": "does not answer",
    "spent": "has answered all that it allows for now",
}
"""States of a list, in words."""


def daemon_down(machine: Machine) -> Iterator[Finding]:
    """Nobody answers."""
    if not machine.daemon:
        text = "no daemon answers: mail passes unchecked where main.cf has default_action=DUNNO, and is deferred where it has not"
        yield error("daemon-down", text, "resolverd serve", "# or: systemctl status resolverd")


def not_ready(machine: Machine) -> Iterator[Finding]:
    """It answers, and cannot resolve names: no internet, or port 53 is intercepted on the way out."""
    if machine.not_ready:
        yield error("not-ready", f"the daemon cannot resolve names: {machine.not_ready}", "resolverd cache trace . NS")


def unused(machine: Machine) -> Iterator[Finding]:
    """Postfix does not ask the daemon in any way."""
    if machine.postfix is None:
        return
    origin = machine.settings.zone.origin.rstrip(".").lower()
    asks = any(map(machine.own_policies, machine.smtpds)) or any(each.zone.endswith(origin) for each in asked(machine))
    servers = [each for found in (machine.resolver, machine.chroot_resolver) if found is not None for each in found.servers]
    if not asks and not set(servers) & machine.own_addresses:
        text = "Postfix asks this daemon nothing: no policy line with its address, no combined zone, no name server"
        yield warning("not-used", text, "resolverd config postfix --way policy")


def list_trouble(machine: Machine) -> Iterator[Finding]:
    """A list that is enabled does not serve us: banned, unreachable, or its quota is spent."""
    for each in machine.lists:
        if each["enabled"] and each["state"] in _TROUBLE:
            error = f" ({each['last_error']})" if each["last_error"] else ""
            text = f"{each['shown']} {_TROUBLE[each['state']]}{error}, so it counts as not asked; terms: {each['terms']}"
            yield warning("list-trouble", text, f"resolverd lists probe {each['id']}")


def list_keys(machine: Machine) -> Iterator[Finding]:
    """A list is on whose key cannot be had."""
    for name, why in unusable_keys(machine.settings):
        yield error("list-key-missing", f"lists.{name}.key: {why}; the list is not asked", f"# config.toml: [lists.{name}] key")


def list_terms(machine: Machine) -> Iterator[Finding]:
    """What is asked of lists is more than their terms give."""
    for text in left_out(machine.settings):
        yield warning("list-terms-use", text, "# config.toml: a key of your own: [lists.NAME] key")
    for spec in enabled_lists(machine.settings):
        entry = catalogue().entries.get(spec.id)
        if entry is None or spec.keyed or entry.quota is None or spec.quota is None:
            continue
        if spec.quota.count / spec.quota.seconds > entry.quota.count / entry.quota.seconds:
            text = f"lists.{spec.id}.quota is above what its terms allow without a key: {spec.terms}"
            yield warning("list-terms-quota", text, f"# config.toml: delete quota from [lists.{spec.id}]")


def volatile_state(machine: Machine) -> Iterator[Finding]:
    """Greylist and overrides are gone after a boot: every sender waits anew, every exception is forgotten."""
    directory = machine.settings.state_directory()
    if directory is None:
        where = "memory"
    elif any(directory.is_relative_to(each) for each in _VOLATILE):
        where = str(directory)
    else:
        return
    text = f"greylist, quotas and overrides are kept in {where}, which does not outlive a boot: then every sender waits anew"
    yield warning("state-volatile", text, "# config.toml", "[store]", 'url = "disk:/var/lib/resolverd"')


def open_resolver(machine: Machine) -> Iterator[Finding]:
    """The whole internet may ask: used to attack others (RFC 5358), and lists refuse it."""
    dns = machine.settings.dns
    wide = [net for net in dns.allow if net.prefixlen == 0]
    if wide and any(not ip_address(where.host).is_loopback for where in dns.listen):
        text = f"dns.allow has {wide[0]}: an open resolver, with which others are attacked (RFC 5358), and which lists refuse"
        yield error("dns-open", text, "# config.toml", "[dns]", 'allow = ["127.0.0.0/8", "::1/128"]')


def forwarding(machine: Machine) -> Iterator[Finding]:
    """Names are asked of public resolvers while lists are on, or of ourselves."""
    settings = machine.settings
    own = {Listen(ANY_HOST.get(where.host, where.host), where.port) for where in settings.dns.listen}
    lists = settings.dnsbl.enabled and bool(enabled_lists(settings))
    for table in settings.resolver.forward:
        for server in table.servers:
            host = str(server.address)
            if Listen(host, server.port) in own:
                text = f"resolver.forward for {table.zone} names {server}, which is this daemon itself"
                yield error("forward-self", text, "# config.toml: delete that [[resolver.forward]]")
            elif lists and table.zone == "." and host in PUBLIC:
                text = f"resolver.forward sends lists' names to {host} ({PUBLIC[host]}), and lists refuse public resolvers"
                yield error("forward-public", text, "# config.toml: delete the [[resolver.forward]] of the root")


def files(machine: Machine) -> Iterator[Finding]:
    """A file that the configuration names is missing or has faults."""
    for fault in machine.file_faults:
        yield warning("file-fault", fault, "resolverd config check")
