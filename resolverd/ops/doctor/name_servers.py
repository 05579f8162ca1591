"""Findings about who resolves names for Postfix (resolv.conf(5))."""

from collections.abc import Iterator
from typing import Final

from resolverd.config.public_resolvers import PUBLIC_RESOLVERS
from resolverd.ops.doctor.finding import Finding, error, warning
from resolverd.ops.doctor.list_lines import asked
from resolverd.ops.doctor.machine import Machine
from resolverd.ops.doctor.resolv_conf import RESOLVED_STUBS, ResolvConf

_ETC: Final = "/etc/resolv.conf"


def _files(machine: Machine) -> Iterator[tuple[str, ResolvConf]]:
    """What Postfix reads: the machine's, and the chroot's where that is another one."""
    if machine.resolver is not None:
        yield _ETC, machine.resolver
    if machine.postfix is not None and machine.chroot_resolver is not None and machine.chroot_resolver != machine.resolver:
        yield f"{machine.postfix.queue_directory}{_ETC}", machine.chroot_resolver


def public(machine: Machine) -> Iterator[Finding]:
    """A public resolver, first or second: lists refuse those who ask through one, with answers that look like listings."""
    origin = machine.settings.zone.origin.rstrip(".").lower()
    asks_lists = any(not each.zone.endswith(origin) for each in asked(machine))
    for file, found in _files(machine):
        if not found.public:
            continue
        first = found.public[0]
        if found.local:
            text = (
                f"{file} has {first} ({PUBLIC_RESOLVERS[first]}) beside {found.local[0]}: when the local one does not"
                " answer, lists are asked through a public resolver, answer 127.255.255.254, and all mail is refused"
            )
            yield error("nameserver-public-second", text, f"# {file}", f"nameserver {found.local[0]}", "# and no other")
        elif asks_lists:
            who = f"{first} ({PUBLIC_RESOLVERS[first]})"
            text = f"{file}: Postfix asks lists through {who}: they refuse it with what looks like a listing"
            yield error("nameserver-public", text, f"# {file}", "nameserver 127.0.0.1")


def other_second(machine: Machine) -> Iterator[Finding]:
    """A second name server that is not this daemon."""
    for file, found in _files(machine):
        strange = [each for each in found.servers if each not in (*machine.own_addresses, *found.public, *found.local)]
        if strange and set(found.servers) & machine.own_addresses:
            text = (
                f"{file} has {strange[0]} beside this daemon: it has no combined zones, what it answers is not"
                " validated here, and lists see its address instead of yours"
            )
            fix = (f"# {file}: delete", f"nameserver {strange[0]}")
            yield warning("nameserver-other-second", text, *fix)


def chroot_differs(machine: Machine) -> Iterator[Finding]:
    """Postfix asks other name servers than the rest of the machine."""
    if machine.postfix is None or machine.resolver is None or machine.chroot_resolver is None:
        return
    if not any(each.chroot for each in machine.postfix.services) or machine.resolver.servers == machine.chroot_resolver.servers:
        return
    copy = f"{machine.postfix.queue_directory}{_ETC}"
    here, there = (", ".join(each.servers) for each in (machine.resolver, machine.chroot_resolver))
    text = f"{copy}, which chrooted Postfix reads, names {there}; {_ETC} names {here}"
    yield error("chroot-resolv-conf", text, f"cp {_ETC} {copy}", "postfix reload")


def resolved(machine: Machine) -> Iterator[Finding]:
    """systemd-resolved stands between: it takes the AD bit off, and keeps answers of its own."""
    for file, found in _files(machine):
        stub = next((each for each in found.servers if each in RESOLVED_STUBS), None)
        if stub is not None:
            text = f"{file} names {stub}, systemd-resolved: it asks whom it likes, and takes away what DNSSEC has proved"
            fix = ("systemctl disable --now systemd-resolved", "rm /etc/resolv.conf",
                   "echo nameserver 127.0.0.1 > /etc/resolv.conf",
                   "cp /etc/resolv.conf /var/spool/postfix/etc/resolv.conf && postfix reload")  # fmt: skip
            yield warning("systemd-resolved", text, *fix)
            return


def no_trust_ad(machine: Machine) -> Iterator[Finding]:
    """DANE is on, and the C library takes away the AD bit (resolv.conf(5), glibc 2.31). Postfix asks for it by itself since 3.6;
    other programs, and Postfix before that, do not."""
    if machine.postfix is None or machine.postfix.value("smtp_dns_support_level") != "dnssec":
        return
    for file, found in _files(machine):
        if found.local and "trust-ad" not in found.options and not set(found.servers) & set(RESOLVED_STUBS):
            text = f"{file} has no `options trust-ad`, and main.cf wants DNSSEC: without it nobody sees what was validated"
            yield warning("no-trust-ad", text, f"echo 'options trust-ad' >> {file}")
