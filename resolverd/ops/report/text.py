"""The report as text of 80 columns, in pflogsumm's order and form where it has the same."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any, Final

from resolverd.ops.report.traffic import COLUMNS

Document = Mapping[str, Any]
_WIDTH: Final = 80
_TOTALS: Final = (
    ("received", "received"), ("delivered", "delivered"), ("forwarded", "forwarded"), ("deferred", "deferred"),
    ("bounced", "bounced"), ("rejected", "rejected"), ("reject_warnings", "reject warnings"), ("held", "held"),
    ("discarded", "discarded"),
)  # fmt: skip
_VOLUMES: Final = (
    ("octets_received", "bytes received"), ("octets_delivered", "bytes delivered"), ("senders", "senders"),
    ("sending_domains", "sending hosts/domains"), ("recipients", "recipients"), ("recipient_domains", "recipient hosts/domains"),
    ("connections", "connections"), ("clients", "clients"),
)  # fmt: skip
DETAILS: Final = (
    ("rejects", "message reject detail"), ("reject_warnings", "message reject warning detail"), ("held", "message hold detail"),
    ("discarded", "message discard detail"),
)  # fmt: skip


def text(document: Document, *, title: str = "", problems_first: bool = False, quiet: bool = False) -> str:
    """The whole of it. `quiet`: sections with nothing in them are left out, as with pflogsumm's ``-q``."""
    lines = [title, ""] if title else []
    lines += _grand_totals(document)
    parts = (_problems, _summaries) if problems_first else (_summaries, _problems)
    for heading, body in (section for part in parts for section in part(document)):
        shown = [part for line in body for part in _fit(line)]
        if shown:
            lines += ["", heading, "-" * len(heading), *shown]
        elif not quiet:
            lines += ["", f"{heading}: none"]
    if document["cut"]:
        lines += ["", f"More than could be counted each, so that figures are \"at least\": {', '.join(document['cut'])}"]
    return "\n".join(lines) + "\n"


def short(number: float) -> str:
    """A count in six characters, in units of 1024 and of 1024² from half a million of the lesser on, as pflogsumm has it."""
    for unit in ("", "k"):
        if number < 512 * 1024:
            return f"{int(number)}{unit}"
        number = number / 1024 + 0.5
    return f"{int(number)}m"


def span(seconds: float | None) -> str:
    """A wait in words."""
    if seconds is None:
        return "-"
    if seconds < 120:
        return f"{seconds:g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _fit(line: str) -> list[str]:
    line = "".join(char if char.isprintable() else "?" for char in line)
    return [line] if len(line) <= _WIDTH else wrap(line, _WIDTH, subsequent_indent=" " * 11, break_on_hyphens=False)


def _grand_totals(document: Document) -> Iterator[str]:
    totals = document["totals"]
    yield from ("Grand Totals", "------------", "messages", "")
    for key, label in _TOTALS:
        more = {
            "deferred": f"  ({totals['deferrals']} deferrals)" if totals["deferrals"] else "",
            "rejected": f" ({totals['rejected_percent']}%)",
            "discarded": f" ({totals['discarded_percent']}%)",
        }.get(key, "")
        yield f" {short(totals[key]):>7}  {label}{more}"
    yield ""
    for key, label in _VOLUMES:
        yield f" {short(totals[key]):>7}  {label}{' (at least)' if key in document['cut'] else ''}"


Section = tuple[str, Iterable[str]]


def _summaries(document: Document) -> Iterator[Section]:
    heads = "".join(f"{name:>11}" for name in COLUMNS)
    if len(document["days"]) > 1:
        rows = (f"    {row['date']} " + _columns(row) for row in document["days"])
        yield "Per-Day Traffic Summary", [f"    {'date':<11}{heads}", *rows]
    days = max(1, len(document["days"]))
    hours = (f"    {row['hour']:02d}00-{row['hour'] + 1:02d}00  " + _columns(row, days) for row in document["hours"])
    yield f"Per-Hour Traffic {'Daily Average' if days > 1 else 'Summary'}", [f"    {'time':<11}{heads}", *hours]
    domains = document["recipient_domains"]
    yield "Host/Domain Summary: Message Delivery", _table(
        ("sent", "bytes", "defers", "avg dly", "max dly", "host/domain"),
        [(short(row["messages"]), short(row["octets"]), short(row["deferrals"]), f"{row['delay_average']:.1f} s",
          f"{row['delay_most']:.1f} s", row["name"]) for row in domains],
    )  # fmt: skip
    yield "Host/Domain Summary: Messages Received", _mails(document["sending_domains"], "host/domain")
    yield "Senders by message count", _mails(document["senders"], "sender")
    yield "Recipients by message count", _mails(document["recipients"], "recipient")


def _problems(document: Document) -> Iterator[Section]:
    for key, heading in DETAILS:
        yield heading, list(_details(document[key]))
    yield "message deferral detail", _counted(document["deferrals"], "service", "reason")
    yield "message bounce detail (by relay)", _counted(document["bounces"], "relay", "reason")
    yield "Lists", _lists(document)
    yield "Greylisting", _greylisting(document["greylisting"])
    yield "False-positive candidates: refused, later delivered", _candidates(document["false_positive_candidates"])
    yield "Networks refused", _counted(document["networks"], "name")
    yield "Organisations refused", _counted(document["organisations"], "name")
    yield "Logins that failed, or were given up", _table(
        ("failed", "left", "client"),
        [(str(row["failed"]), str(row["left"]), row["client"]) for row in document["logins"]["clients"]],
    )
    yield "Clients that talk too early (PREGREET)", _counted(document["pregreets"]["clients"], "name")
    yield "What fail2ban would do (contrib/fail2ban)", _jails(document["fail2ban"])
    yield "Warnings and errors", _troubles(document)


def _columns(row: Mapping[str, int], days: int = 1) -> str:
    """The figures, of one of so many days, rounded."""
    return "".join(f"{short(row[name] / days + (days > 1) / 2):>11}" for name in COLUMNS)


def _mails(rows: Sequence[Mapping[str, Any]], what: str) -> list[str]:
    return _table(("messages", "bytes", what), [(short(row["messages"]), short(row["octets"]), row["name"]) for row in rows])


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Numbers to the right, and the name in the last column."""
    if not rows:
        return []
    widths = [max(len(each) for each in column) for column in list(zip(heads, *rows, strict=True))[:-1]]
    return [
        "  " + "  ".join([*(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in (heads, *rows)
    ]


def _counted(rows: Sequence[Mapping[str, Any]], *names: str) -> list[str]:
    return [f"  {short(row['count']):>6}   " + ": ".join(str(row[name]) for name in names) for row in rows]


def _details(reasons: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for stage in sorted({row["stage"] for row in reasons}):
        yield f"  {stage}"
        for row in (row for row in reasons if row["stage"] == stage):
            total = f" (total: {row['count']})"
            reason = row["reason"]
            yield from wrap(
                f"{reason}{total}", _WIDTH, initial_indent="    ", subsequent_indent="      ", break_on_hyphens=False
            )
            for below in row["of"]:
                yield f"    {short(below['count']):>7}   {below['name']}"
            if row["others"]:
                yield f"    {short(row['others']):>7}   others"


def _lists(document: Document) -> Iterator[str]:
    if document["lists"]:
        known = [row for row in document["lists"] if "queries" in row]
        heads: tuple[str, ...] = ("refused", "clients", "list")
        rows: list[tuple[str, ...]] = []
        if known:
            heads = ("refused", "clients", "unique", "decisive", "queries", "quota left", "list")
        for row in document["lists"]:
            quota = f"{short(row['quota_left'] or 0)}/{short(row['quota'])}" if row.get("quota") else "-"
            figures = [str(row[key]) if row.get(key) is not None else "-" for key in ("unique", "decisive", "queries")]
            rows.append((str(row["refusals"]), str(row["clients"]), *([*figures, quota] if known else []), row["list"]))
        yield from _table(heads, rows)
        if known:
            yield "  unique, decisive, queries: of the last 7 days, as the daemon counted"
    if document["lists_unknown"]:
        yield f"  unique hits and cost unknown: {document['lists_unknown']}"


def _greylisting(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["attempts"]:
        return
    yield f"  {short(found['attempts']):>6}   attempts put off"
    yield f"  {short(found['mails']):>6}   mails, by sender and recipient"
    yield f"  {short(found['came_back']):>6}   of them came back and were delivered"
    yield f"  {short(found['did_not_come_back']):>6}   did not come back within 6 hours"
    yield f"  {short(found['waiting']):>6}   may still come"
    yield f"           waited: median {span(found['wait_median'])}, 90 % at most {span(found['wait_p90'])}"


def _candidates(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield f"  {short(row['count']):>6}   {row['sender'] or '<>'} -> {row['recipient']}"
        yield f"           [{row['client']}] {row['refused']}; then {row['then']}"


def _jails(jails: Sequence[Mapping[str, Any]]) -> list[str]:
    if not any(jail["found"] for jail in jails):
        return []
    rows = [(str(jail["found"]), str(jail["bans"]), str(jail["kept_off"]), jail["jail"]) for jail in jails]
    return _table(("found", "bans", "kept off", "jail"), rows)


def _troubles(document: Document) -> Iterator[str]:
    if document["policy_troubles"]:
        yield f"  {short(document['policy_troubles']):>6}   times no policy service could be asked: default_action went instead"
    for row in document["troubles"]:
        yield f"  {short(row['count']):>6}   {row['service']} {row['level']}: {row['text']}"
