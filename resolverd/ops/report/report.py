"""A record to all that count it, and the document: what the report says, by name. Every form is made of that."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from resolverd.ops.maillog import (
    AuthFailure,
    Connection,
    Decision,
    Delivery,
    LostConnection,
    Pregreet,
    Queued,
    Received,
    Record,
    Rejection,
    Trouble,
)
from resolverd.ops.maillog.stamps import DAY
from resolverd.ops.report.abuse import Abuse
from resolverd.ops.report.comebacks import Comebacks
from resolverd.ops.report.refusals import Refusals
from resolverd.ops.report.top import Top
from resolverd.ops.report.traffic import COLUMNS, Traffic

_ADDRESS: Final = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w)|(?<![\w:])[0-9A-Fa-f]{1,4}:[0-9A-Fa-f:]{2,}(?!\w)")
_KINDS: Final = {"reject": "rejects", "reject_warning": "reject_warnings", "hold": "held", "discard": "discarded"}


class Report:
    """Counts records. `add_from` and `verbose`: see `Refusals`."""

    def __init__(self, *, add_from: bool = False, verbose: bool = False) -> None:
        self.traffic = Traffic()
        self.refusals = Refusals(add_from, verbose)
        self.comebacks = Comebacks()
        self.abuse = Abuse()
        self.connections = 0
        self.clients: Top[str] = Top()
        self.troubles: Top[tuple[str, str, str]] = Top()
        self.policy_troubles = 0
        self.decisions: Top[str] = Top()
        self._first: int | None = None
        self._last: int | None = None
        self._verbose = verbose

    def take(self, record: Record) -> None:
        """Count a record."""
        self._first = record.at if self._first is None else min(self._first, record.at)
        self._last = record.at if self._last is None else max(self._last, record.at)
        match record:
            case Connection():
                self.connections += 1
                self.clients.add(record.client_address)
            case Received():
                self.traffic.take_received(record)
            case Queued():
                self.traffic.take_queued(record)
            case Delivery():
                self.traffic.take_delivery(record)
                self.comebacks.take_delivery(record)
            case Rejection():
                self.traffic.take_rejection(record)
                self.refusals.take(record)
                self.comebacks.take_rejection(record)
                self.abuse.take_rejection(record)
            case Decision():
                self.decisions.add(record.action)
                self.comebacks.take_decision(record)
            case Pregreet():
                self.abuse.take_pregreet(record)
            case AuthFailure():
                self.abuse.take_auth(record)
                self._trouble("warning", "smtpd", f"SASL {record.mechanism} authentication failed")
            case LostConnection():
                self.abuse.take_lost(record)
            case Trouble():
                self.policy_troubles += record.policy
                text = record.text if self._verbose else _ADDRESS.sub("ADDRESS", record.text)
                self._trouble(record.level, record.service, text)

    def _trouble(self, level: str, service: str, text: str) -> None:
        self.troubles.add((level, service, text[:400]))

    def document(self, *, rows: int, lists: Sequence[Mapping[str, Any]] | None = None, why_no_lists: str = "") -> dict[str, Any]:
        """What the report says. `rows`: of each table at most. `lists`: how they fare, as the daemon's HTTP interface has it;
        None: it could not be asked, and `why_no_lists`.
        """
        traffic, refusals, abuse = self.traffic, self.refusals, self.abuse
        return {
            "period": {"first": _moment(self._first), "last": _moment(self._last)},
            "totals": self._totals(),
            "days": [{"date": _day(day), **_columns(row)} for day, row in sorted(traffic.days.items())],
            "hours": [{"hour": hour, **_columns(row)} for hour, row in enumerate(traffic.hours)],
            "recipient_domains": [
                {**row, **self._delays(row["name"])} for row in _mails(traffic.recipient_domains, rows)
            ],
            "sending_domains": _mails(traffic.sending_domains, rows),
            "senders": _mails(traffic.senders, rows),
            "recipients": _mails(traffic.recipients, rows),
            **{name: self._details(kind, rows) for kind, name in _KINDS.items()},
            "deferrals": [{"service": a, "reason": b, "count": n} for (a, b), n in traffic.deferral_reasons.most(rows)],
            "bounces": [{"relay": a, "reason": b, "count": n} for (a, b), n in traffic.bounce_reasons.most(rows)],
            "lists": self._lists(lists or ()),
            "lists_unknown": why_no_lists if lists is None else "",
            "greylisting": self._greylisting(),
            "false_positive_candidates": [
                {"sender": sender, "recipient": recipient, "client": client, "refused": reason, "then": how, "count": count}
                for (sender, recipient, client, reason, how), count in self.comebacks.candidates.most(rows)
            ],
            "networks": _counts(refusals.networks, rows),
            "organisations": _counts(refusals.organisations, rows),
            "logins": {
                "failed": sum(abuse.logins_failed.count(each) for each in abuse.logins_failed),
                "left": sum(abuse.logins_left.count(each) for each in abuse.logins_left),
                "clients": self._logins(rows),
            },
            "pregreets": {"clients": _counts(abuse.pregreets, rows), "said": _counts(abuse.said, rows)},
            "fail2ban": [
                {
                    "jail": jail.name, "maxretry": jail.maxretry, "bantime": jail.bantime, "found": jail.found, "bans": jail.bans,
                    "kept_off": jail.kept_off, "clients": _counts(jail.banned, rows),
                }
                for jail in abuse.jails
            ],
            "troubles": [
                {"level": level, "service": service, "text": text, "count": count}
                for (level, service, text), count in self.troubles.most(rows)
            ],
            "policy_troubles": self.policy_troubles,
            "decisions": {action: self.decisions.count(action) for action in ("pass", "greylist", "defer", "reject")},
            "cut": self._cut(),
        }  # fmt: skip

    def _totals(self) -> dict[str, int]:
        traffic = self.traffic
        taken = traffic.delivered + traffic.rejected + traffic.discarded
        return {
            **{name: getattr(traffic, name) for name in (
                "received", "delivered", "forwarded", "deferred", "deferrals", "bounced", "rejected", "reject_warnings", "held",
                "discarded", "octets_received", "octets_delivered")},
            "rejected_percent": traffic.rejected * 100 // taken if taken else 0,
            "discarded_percent": traffic.discarded * 100 // taken if taken else 0,
            "senders": len(traffic.senders),
            "sending_domains": len(traffic.sending_domains),
            "recipients": len(traffic.recipients),
            "recipient_domains": len(set(traffic.recipient_domains)),
            "connections": self.connections,
            "clients": len(self.clients),
        }  # fmt: skip

    def _delays(self, domain: str) -> dict[str, float]:
        delays = self.traffic.delays.get(domain)
        sent = self.traffic.recipient_domains.count(domain)
        if delays is None:
            return {"deferrals": 0, "delay_average": 0.0, "delay_most": 0.0}
        return {
            "deferrals": delays.deferrals,
            "delay_average": round(delays.total / sent, 1) if sent else 0.0,
            "delay_most": delays.most,
        }

    def _details(self, kind: str, rows: int) -> list[dict[str, Any]]:
        reasons = self.refusals.reasons.get(kind)
        if reasons is None:
            return []
        below: dict[tuple[str, str], list[dict[str, Any]]] = {}
        others: dict[tuple[str, str], int] = {}
        for (stage, reason, whom), count in self.refusals.details[kind].most():
            found = below.setdefault((stage, reason), [])
            if len(found) < rows:
                found.append({"name": whom, "count": count})
            else:
                others[stage, reason] = others.get((stage, reason), 0) + 1
        return [
            {
                "stage": key[0], "reason": key[1], "count": count, "of": below.get(key, []), "others": others.get(key, 0),
            }
            for key, count in reasons.most(rows * 5)
        ]  # fmt: skip

    def _lists(self, known: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Each list that the log names or the daemon asks; its figures of the last 7 days where those are known."""
        clients: dict[str, int] = {}
        for name, _ in self.refusals.list_clients:
            clients[name] = clients.get(name, 0) + 1
        found: dict[str, dict[str, Any]] = {
            name: {"list": name, "refusals": count, "clients": clients.get(name, 0)}
            for name, count in self.refusals.lists.most()
        }
        for each in known:
            name = next((each[key] for key in ("id", "shown") if each[key] in found), each["shown"])
            if not each["enabled"] and name not in found:
                continue
            row = found.setdefault(name, {"list": name, "refusals": 0, "clients": 0})
            row.update({key: each.get(key) for key in ("queries", "hits", "unique", "decisive", "quota", "quota_left", "state")})
        return list(found.values())

    def _greylisting(self) -> dict[str, Any]:
        comebacks = self.comebacks
        waiting, late = comebacks.waiting()
        return {
            "attempts": comebacks.greylisted, "mails": comebacks.mails, "came_back": comebacks.came_back, "waiting": waiting,
            "did_not_come_back": late,
            "wait_median": comebacks.waits.percentile(0.5), "wait_p90": comebacks.waits.percentile(0.9),
        }  # fmt: skip

    def _logins(self, rows: int) -> list[dict[str, Any]]:
        abuse = self.abuse
        both: Top[str] = Top()
        for top in (abuse.logins_failed, abuse.logins_left):
            for client in top:
                both.add(client, top.count(client))
        return [
            {"client": client, "failed": abuse.logins_failed.count(client), "left": abuse.logins_left.count(client)}
            for client, _ in both.most(rows)
        ]

    def _cut(self) -> list[str]:
        """Tables that were full: what they count is "at least"."""
        traffic, refusals, abuse = self.traffic, self.refusals, self.abuse
        tops: dict[str, Top[Any]] = {
            "senders": traffic.senders, "sending_domains": traffic.sending_domains, "recipients": traffic.recipients,
            "recipient_domains": traffic.recipient_domains, "deferrals": traffic.deferral_reasons,
            "bounces": traffic.bounce_reasons, "networks": refusals.networks, "organisations": refusals.organisations,
            "lists": refusals.list_clients, "clients": self.clients, "logins": abuse.logins_failed, "pregreets": abuse.pregreets,
            "troubles": self.troubles,
            **{_KINDS.get(kind, kind): top for kind, top in refusals.details.items()},
        }  # fmt: skip
        found = {name for name, top in tops.items() if top.cut}
        if self.comebacks.forgotten:
            found.add("greylisting")
        if traffic.days_cut:
            found.add("days")
        return sorted(found)


def _columns(row: Sequence[int]) -> dict[str, int]:
    return dict(zip(COLUMNS, row, strict=True))


def _mails(top: Top[str], rows: int) -> list[dict[str, Any]]:
    return [{"name": name, "messages": count, "octets": int(top.sum(name))} for name, count in top.most(rows)]


def _counts(top: Top[str], rows: int) -> list[dict[str, Any]]:
    return [{"name": name, "count": count} for name, count in top.most(rows)]


def _moment(at: int | None) -> str | None:
    """On the log's own clock, so without a zone."""
    return None if at is None else datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat()


def _day(day: int) -> str:
    return datetime.fromtimestamp(day * DAY, UTC).date().isoformat()
