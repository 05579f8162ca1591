"""Refusals by reason, by list, and by who sent."""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from resolverd.greylist.triplet import network
from resolverd.ops.maillog import Rejection
from resolverd.ops.report.top import Top
from resolverd.ops.report.traffic import client_domain, folded

_REFERENCE: Final = re.compile(r"; ref [\w-]{1,40}$")


@dataclass
class Refusals:
    """The counts. `add_from`: the sender stands with each; `verbose`: reasons are whole replies, without our reference."""

    add_from: bool = False
    verbose: bool = False
    reasons: dict[str, Top[tuple[str, str]]] = field(default_factory=dict)
    """Stage and reason, by kind: reject, reject_warning, hold, discard."""
    details: dict[str, Top[tuple[str, str, str]]] = field(default_factory=dict)
    """Stage, reason and whom it met."""
    lists: Top[str] = field(default_factory=Top)
    list_clients: Top[tuple[str, str]] = field(default_factory=Top)
    networks: Top[str] = field(default_factory=Top)
    organisations: Top[str] = field(default_factory=Top)

    def take(self, record: Rejection) -> None:
        """Count one."""
        kind = "reject" if record.counts else "reject_warning" if record.kind == "warning" else record.kind
        reason = self._reason(record)
        stage = record.stage
        if kind not in self.reasons:
            self.reasons[kind] = Top()
            self.details[kind] = Top()
        self.reasons[kind].add((stage, reason))
        self.details[kind].add((stage, reason, self._whom(record)))
        if not record.counts:
            return
        if record.list:
            self.lists.add(record.list)
            self.list_clients.add((record.list, record.client_address))
        if not record.greylisted:
            self.networks.add(_network(record.client_address))
            if record.client_name not in ("", "unknown"):
                self.organisations.add(client_domain(record.client_name, record.client_address))

    def _reason(self, record: Rejection) -> str:
        if not self.verbose:
            return record.reason
        reply = f"{record.code or ''} {record.dsn} {_REFERENCE.sub('', record.text)}"
        return " ".join(reply.split())[:400]

    def _whom(self, record: Rejection) -> str:
        """As pflogsumm has it: the sender where he is the reason, else the recipient or the client."""
        if "Sender address rejected" in record.reason:
            return folded(record.sender) or "<>"
        if record.greylisted or record.reason.startswith(("Recipient address rejected", "User unknown")):
            whom = folded(record.recipient) or "<>"
        else:
            whom = client_domain(record.client_name, record.client_address)
        return f"{whom}  ({folded(record.sender) or '<>'})" if self.add_from else whom


@lru_cache(10_000)
def _network(address: str) -> str:
    """The /24 or /64 of an address."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return f"{network(found)}/{24 if found.version == 4 else 64}"
