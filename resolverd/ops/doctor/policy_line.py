"""Findings about how Postfix asks policy services (SMTPD_POLICY_README)."""

import json
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final

from resolverd.durations import seconds_of
from resolverd.mail.patterns import IPNetwork
from resolverd.ops.doctor.finding import Finding, error, warning
from resolverd.ops.doctor.machine import Machine
from resolverd.ops.doctor.main_cf import words

HARD_STOP: Final = 8.0
"""Seconds within which the policy service has answered."""


def own_line(endpoint: str) -> str:
    """The line that asks a policy service as it should be asked."""
    return f"check_policy_service {{ {endpoint}, timeout=10s, default_action=DUNNO }}"


def no_default_action(machine: Machine) -> Iterator[Finding]:
    """A policy service that is down stops all mail."""
    for smtpd in machine.smtpds:
        general = smtpd.value("smtpd_policy_service_default_action")
        for each in smtpd.policies():
            action = each.options.get("default_action", general)
            if action.split()[:1] not in (["DUNNO"], ["dunno"], ["OK"]):
                text = f"{each} has no default_action=DUNNO: while that service is down, all mail gets {action!r}"
                yield error("policy-default-action", text, own_line(each.argument))


def impatient(machine: Machine) -> Iterator[Finding]:
    """Postfix stops waiting before the answer is due."""
    for smtpd in machine.smtpds:
        general = smtpd.value("smtpd_policy_service_timeout")
        for each in smtpd.policies():
            patience = _seconds(each.options.get("timeout", general))
            if machine.is_own(each) and patience is not None and patience <= HARD_STOP:
                text = f"{each} waits {patience:g} s; an answer may take {HARD_STOP:g} s, and mail passes unchecked before that"
                yield warning("policy-timeout", text, own_line(each.argument))


def before_relay_check(machine: Machine) -> Iterator[Finding]:
    """The policy service is asked about mail that is refused anyway, and its findings come before the relay check."""
    for smtpd in machine.smtpds:
        for each in machine.own_policies(smtpd):
            if each.mapped or (each.stage == "recipient" and smtpd.relay_first and smtpd.guarded("relay")):
                continue
            before = [other for other in smtpd.stages[each.stage] if other.place < each.place]
            if not any("unauth_destination" in other.name for other in before):
                text = (
                    f"{each} in smtpd_{each.stage}_restrictions stands before reject_unauth_destination: attempts to relay are"
                    " greylisted and recorded too, and cost the lists' quotas"
                )
                fix = ("smtpd_recipient_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination,",
                       f"    reject_unlisted_recipient, {own_line(each.argument)}")  # fmt: skip
                yield warning("policy-before-relay-check", text, *fix)


def never_reached(machine: Machine) -> Iterator[Finding]:
    """Something before the policy line ends its list for everybody."""
    for smtpd in machine.smtpds:
        for each in machine.own_policies(smtpd):
            ends = [other for other in smtpd.stages[each.stage] if other.name in ("permit", "reject", "defer")]
            first = next((other for other in ends if other.place < each.place and not other.warn), None)
            if first is not None and not each.mapped:
                text = f"{each} is never asked: `{first}` before it in smtpd_{each.stage}_restrictions decides for everybody"
                yield error("policy-never-reached", text, f"# put it before `{first}`")


def own_clients(machine: Machine) -> Iterator[Finding]:
    """The own network is greylisted."""
    for smtpd in machine.smtpds:
        mine = _networks(smtpd.value("mynetworks"))
        strange = [each for each in mine if not any(_holds(other, each) for other in machine.settings.policy.trusted_networks)]
        for each in machine.own_policies(smtpd):
            before = [other for other in smtpd.stages[each.stage] if other.place < each.place]
            if strange and not each.mapped and not any(other.name == "permit_mynetworks" for other in before):
                trusted = json.dumps([*map(str, machine.settings.policy.trusted_networks), *map(str, strange)])
                text = (
                    f"{each} is asked about your own network too: permit_mynetworks does not stand before it, and"
                    f" {', '.join(map(str, strange))} is not among policy.trusted_networks"
                )
                fix = ("# permit_mynetworks before it, or in config.toml:", "[policy]", f"trusted_networks = {trusted}")
                yield error("policy-own-network", text, *fix)


def no_data_line(machine: Machine) -> Iterator[Finding]:
    """Headers stay behind."""
    for smtpd in machine.smtpds:
        asked = [each for each in machine.own_policies(smtpd) if not each.warn and not each.mapped]
        at_data = [each for each in smtpd.policies() if each.stage == "data" and machine.is_own(each)]
        if asked and not at_data:
            text = "smtpd_data_restrictions does not ask the policy service: of two headers due to a message one is lost"
            yield warning("policy-no-data-line", text, f"smtpd_data_restrictions = {own_line(asked[0].argument)}")


def out_of_chroot(machine: Machine) -> Iterator[Finding]:
    """A chrooted smtpd cannot see the socket."""
    for smtpd in machine.smtpds:
        queue = Path(smtpd.postfix.queue_directory)
        for each in smtpd.policies():
            kind, _, path = each.argument.partition(":")
            if kind != "unix" or not smtpd.service.chroot or not path.startswith("/") or Path(path).is_relative_to(queue):
                continue
            text = f"{each}: smtpd is chrooted to {queue} (master.cf), so it looks for {queue}{path}, which is not there"
            listen = f'listen = ["unix:{queue}/private/resolverd"]'
            fix = ("# config.toml", "[policy]", listen, "# main.cf", own_line("unix:private/resolverd"))
            yield error("policy-socket-outside-chroot", text, *fix)


def helo_not_required(machine: Machine) -> Iterator[Finding]:
    """A client that says no HELO escapes what is asked of it."""
    if str(machine.settings.checks.rules()["helo"].consequence) in ("off", "None"):
        return
    for smtpd in machine.smtpds:
        in_force = any(not each.warn for each in machine.own_policies(smtpd))
        if in_force and smtpd.value("smtpd_helo_required") != "yes":
            text = "smtpd_helo_required is not yes: a client that leaves HELO out escapes the HELO checks"
            yield warning("helo-not-required", text, "smtpd_helo_required = yes")


def _seconds(text: str) -> float | None:
    """A time of main.cf: a number, with s, m, h, d or w behind it or seconds meant."""
    try:
        return float(text) if text.isdigit() else seconds_of(text)
    except ValueError:
        return None


def _networks(text: str) -> list[IPNetwork]:
    found: list[IPNetwork] = []
    for word in words(text):
        try:
            found.append(ip_network(word.replace("[", "").replace("]", ""), strict=False))
        except ValueError:
            continue
    return found


def _holds(outer: IPNetwork, inner: IPNetwork) -> bool:
    if isinstance(outer, IPv4Network):
        return isinstance(inner, IPv4Network) and inner.subnet_of(outer)
    return isinstance(inner, IPv6Network) and inner.subnet_of(outer)
