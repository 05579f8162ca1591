"""Findings about the configuration and the running daemon."""

from collections.abc import Iterator
from typing import Final

from resolverd.config.lists import unusable_keys
from resolverd.config.review import review
from resolverd.ops.doctor.finding import Finding, error, warning
from resolverd.ops.doctor.list_lines import asked
from resolverd.ops.doctor.machine import Machine

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
        fix = ("resolverd cache trace . NS",
               "# where somebody else answers, ask the provider to open port 53, or name the network's resolver in config.toml:",
               "[[resolver.forward]]", 'zone = "."', 'servers = ["ADDRESS"]')  # fmt: skip
        yield error("not-ready", f"the daemon cannot resolve names: {machine.not_ready}", *fix)


def remarks(machine: Machine) -> Iterator[Finding]:
    """It answers, but not all that it could: the clock is wrong."""
    for text in machine.remarks:
        yield warning("daemon-remark", text, "timedatectl set-ntp true", "resolverd status")


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


def listed_ourselves(machine: Machine) -> Iterator[Finding]:
    """One of our own addresses (``watch.addresses``) is on a list."""
    for each in machine.lists:
        for address in each["watched"] if each["purpose"] == "block" else ():
            text = f"{each['shown']} lists your own address {address}: whoever asks that list refuses your mail"
            yield error("own-address-listed", text, f"resolverd lookup {address}")


def list_keys(machine: Machine) -> Iterator[Finding]:
    """A list is on whose key cannot be had."""
    for name, why in unusable_keys(machine.settings):
        yield error("list-key-missing", f"lists.{name}.key: {why}; the list is not asked", f"# config.toml: [lists.{name}] key")


def store_trouble(machine: Machine) -> Iterator[Finding]:
    """What the daemon keeps cannot be written; or the server that hosts share is away, and each goes on by itself."""
    if machine.store_fault:
        yield warning("store-trouble", f"the store {machine.store_fault}", "resolverd status")
    if machine.shared_fault:
        without = "until that is mended this host goes on with what it knows itself, and mail passes rather than waits twice"
        text = f"the shared store {machine.settings.store.url}: {machine.shared_fault}; {without}"
        yield warning("shared-store-trouble", text, "resolverd status", "# docs/fleet.md, when a part dies")


def volatile_state(machine: Machine) -> Iterator[Finding]:
    """Greylist and overrides are gone after a boot: every sender waits anew, every exception is forgotten."""
    directory = machine.settings.state_directory()
    if directory is None:
        where = "memory"
    elif any(directory.is_relative_to(each) for each in _VOLATILE):
        where = str(directory)
    else:
        return
    if machine.settings.store.url.target is not None:
        text = f"what the server has not taken yet is kept in {where}, which does not outlive a boot"
        yield warning("state-volatile", text, "# config.toml", "[store]", 'directory = "/var/lib/resolverd"')
        return
    text = f"greylist, quotas and overrides are kept in {where}, which does not outlive a boot: then every sender waits anew"
    yield warning("state-volatile", text, "# config.toml", "[store]", 'url = "disk:/var/lib/resolverd"')


def configuration(machine: Machine) -> Iterator[Finding]:
    """What `resolverd config check` warns of."""
    for each in review(machine.settings):
        yield (error if each.grave else warning)(each.code, str(each), "# config.toml", *each.fix)


def files(machine: Machine) -> Iterator[Finding]:
    """A file that the configuration names is missing or has faults."""
    for fault in machine.file_faults:
        yield warning("file-fault", fault, "resolverd config check")
