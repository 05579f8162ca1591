"""Findings about who may send mail to anywhere through Postfix (SMTPD_ACCESS_README, postconf(5))."""

from collections.abc import Iterator
from ipaddress import ip_network

from resolverd.config.review.reach import is_wide
from resolverd.ops.doctor.finding import Finding, error, warning
from resolverd.ops.doctor.machine import Machine
from resolverd.ops.doctor.main_cf import words

_RELAY_LINE = "smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination"


def open_relay(machine: Machine) -> Iterator[Finding]:
    """Neither list stops strangers from sending to anywhere."""
    for smtpd in machine.smtpds:
        if not smtpd.guarded("relay") and not smtpd.guarded("recipient"):
            text = (
                f"the service {smtpd.service.name} is an open relay, or takes no mail: neither smtpd_relay_restrictions"
                " nor smtpd_recipient_restrictions has reject_unauth_destination before anything that permits everybody"
            )
            yield error("open-relay", text, _RELAY_LINE)


def one_guard(machine: Machine) -> Iterator[Finding]:
    """Relaying is stopped among the recipient restrictions alone, where the next whitelist opens it."""
    for smtpd in machine.smtpds:
        if smtpd.guarded("recipient") and not smtpd.guarded("relay"):
            text = (
                "smtpd_relay_restrictions stops nobody: an exception that answers OK before reject_unauth_destination in"
                " smtpd_recipient_restrictions makes its client a relay for everything"
            )
            yield warning("no-relay-restriction", text, _RELAY_LINE)


def wide_networks(machine: Machine) -> Iterator[Finding]:
    """mynetworks has half the internet in it."""
    if machine.postfix is None:
        return
    for word in words(machine.postfix.value("mynetworks")):
        try:
            network = ip_network(word.replace("[", "").replace("]", ""), strict=False)
        except ValueError:
            continue
        if is_wide(network):
            text = f"mynetworks has {word}: everybody there may send mail to anywhere through this server, unchecked"
            fix = ("mynetworks = 127.0.0.0/8 [::1]/128", "# and single networks of your own")
            yield error("mynetworks-wide", text, *fix)
