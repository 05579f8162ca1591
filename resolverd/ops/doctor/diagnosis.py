"""All that is looked for."""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from resolverd.logs import one_line
from resolverd.ops.doctor import duplicates, installation, list_lines, name_servers, policy_line, relay
from resolverd.ops.doctor.finding import Finding, Severity
from resolverd.ops.doctor.machine import Machine

Examination: TypeAlias = Callable[[Machine], Iterator[Finding]]

EXAMINATIONS: Final[tuple[Examination, ...]] = (
    relay.open_relay, relay.one_guard, relay.wide_networks,
    policy_line.no_default_action, policy_line.impatient, policy_line.before_relay_check, policy_line.never_reached,
    policy_line.own_clients, policy_line.no_data_line, policy_line.out_of_chroot, policy_line.helo_not_required,
    duplicates.checked_twice, duplicates.spf_twice, duplicates.two_greylisters, duplicates.late_exceptions,
    list_lines.dead, list_lines.wrong_subject, list_lines.without_filter, list_lines.faulty_filter, list_lines.key_leaks,
    list_lines.mistyped_key_zone, list_lines.score_without_filter, list_lines.unreachable_threshold, list_lines.ignoring,
    list_lines.own_zones,
    name_servers.public, name_servers.other_second, name_servers.chroot_differs, name_servers.resolved, name_servers.no_trust_ad,
    installation.daemon_down, installation.not_ready, installation.remarks, installation.unused, installation.list_trouble,
    installation.listed_ourselves, installation.list_keys,
    installation.store_trouble, installation.volatile_state, installation.configuration, installation.files,
)  # fmt: skip


def diagnose(machine: Machine) -> list[Finding]:
    """Everything that is wrong with a machine, each once, what loses mail first; fit for a terminal, whatever its files have."""
    found = dict.fromkeys(_shown(finding) for examine in EXAMINATIONS for finding in examine(machine))
    return sorted(found, key=lambda finding: list(Severity).index(finding.severity))


def _shown(finding: Finding) -> Finding:
    return finding._replace(text=one_line(finding.text), fix=tuple(map(one_line, finding.fix)))
