"""The report as one HTML page that needs nothing beside it: no script, no font, no picture; light, dark, and on paper."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from resolverd.ops.report.charts import bars, stacked
from resolverd.ops.report.text import DETAILS, span

_SERIES: Final = ("delivered", "deferred", "bounced", "rejected")
_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --paper: #fff; --line: #dfe3e8; --card: #f6f7f9;
  --delivered: #2f7d4f; --deferred: #b7791f; --bounced: #7a5ab5; --rejected: #b83a3a; --list: #31669c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --soft: #a0aab8; --paper: #14181e; --line: #333b46; --card: #1d232b;
  --delivered: #5cb585; --deferred: #d9a441; --bounced: #ab8fe0; --rejected: #e07171; --list: #74a7dc; } }
@media print { :root { color-scheme: light; --ink: #000; --soft: #444; --paper: #fff; --line: #bbb; --card: #fff;
  --delivered: #2f7d4f; --deferred: #b7791f; --bounced: #7a5ab5; --rejected: #b83a3a; --list: #31669c; }
  h2 { break-after: avoid; } tr, svg, .cards { break-inside: avoid; } body { font-size: 10pt; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 3rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .3rem 0; } .soft, caption { color: var(--soft); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .6rem; margin: 1rem 0; padding: 0; }
.cards div { background: var(--card); border: 1px solid var(--line); border-radius: .4rem; padding: .5rem .7rem; }
.cards dt { color: var(--soft); font-size: .85rem; }
.cards dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; display: block; } .grid { stroke: var(--line); } .axis { fill: var(--soft); font-size: 11px; }
.hit { fill: transparent; } .delivered { fill: var(--delivered); } .deferred { fill: var(--deferred); }
.bounced { fill: var(--bounced); } .rejected { fill: var(--rejected); } .list { fill: var(--list); }
.key span { display: inline-block; margin-right: 1rem; }
.key i { display: inline-block; width: .8em; height: .8em; border-radius: 2px;
  margin-right: .35em; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; } caption { text-align: left; }
th, td { text-align: left; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: break-word; font-weight: normal; }
thead th { color: var(--soft); overflow-wrap: normal; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.bars th { width: 55%; } .bars .bar { vertical-align: middle; } .bars svg { height: .8rem; } .bars .n { width: 4rem; }
"""


def page(document: Mapping[str, Any], *, title: str) -> str:
    """The whole of it. Every word of the log is escaped."""
    totals, greylisting = document["totals"], document["greylisting"]
    key = "".join(f'<span><i style="background:var(--{name})"></i>{name}</span>' for name in _SERIES)
    hours = [{**row, "hour": f"{row['hour']:02d}"} for row in document["hours"]]
    plots = stacked(hours, "hour", _SERIES, "By hour of the day")
    if len(document["days"]) > 1:
        plots = stacked([{**row, "date": row["date"][5:]} for row in document["days"]], "date", _SERIES, "By day") + plots
    period = document["period"]
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>",
        f"<header><h1>{escape(title)}</h1>",
        f'<p class="soft">{escape(str(period["first"] or "nothing"))} to {escape(str(period["last"] or "nothing"))}</p></header>',
        _cards((
            ("received", totals["received"]), ("delivered", totals["delivered"]), ("deferred", totals["deferred"]),
            ("bounced", totals["bounced"]), ("rejected", f"{totals['rejected']} ({totals['rejected_percent']} %)"),
            ("greylisted mails", greylisting["mails"]), ("came back", greylisting["came_back"]),
            ("median wait", span(greylisting["wait_median"])), ("clients", totals["clients"]),
        )),
        _section("Traffic", f'{plots}<p class="key soft">{key}</p>'),
        _bars("Refusals by reason", [(f"{row['reason']}", row["count"]) for row in document["rejects"]], "rejected"),
        _lists(document),
        _greylisting(greylisting),
        _table("False-positive candidates: refused, later delivered", ("sender", "recipient", "client", "refused", "then"),
               document["false_positive_candidates"]),
        _bars("Networks refused", _pairs(document["networks"]), "rejected"),
        _bars("Organisations refused", _pairs(document["organisations"]), "rejected"),
        _table("Logins that failed, or were given up", ("client", "failed", "left"), document["logins"]["clients"]),
        _bars("Clients that talk too early (PREGREET)", _pairs(document["pregreets"]["clients"]), "rejected"),
        _table("What fail2ban would do (contrib/fail2ban)", ("jail", "found", "bans", "kept_off"),
               document["fail2ban"] if any(row["found"] for row in document["fail2ban"]) else ()),
        _table("Senders", ("name", "messages", "octets"), document["senders"]),
        _table("Recipients", ("name", "messages", "octets"), document["recipients"]),
        _table("Domains received from", ("name", "messages", "octets"), document["sending_domains"]),
        _table("Domains delivered to", ("name", "messages", "octets", "deferrals", "delay_average", "delay_most"),
               document["recipient_domains"]),
        _table("Deferrals", ("service", "reason", "count"), document["deferrals"]),
        _table("Bounces", ("relay", "reason", "count"), document["bounces"]),
        *(_details(heading, document[name]) for name, heading in DETAILS),
        _table("Warnings and errors", ("service", "level", "text", "count"), document["troubles"]),
    ]  # fmt: skip
    if document["cut"]:
        cut = escape(", ".join(document["cut"]))
        parts.append(f'<p class="soft">More than could be counted each, so that figures are "at least": {cut}</p>')
    return "".join(parts) + "</main></body></html>\n"


def _section(heading: str, body: str) -> str:
    return f'<section><h2>{escape(heading)}</h2><div class="scroll">{body}</div></section>' if body else ""


def _cards(facts: Iterable[tuple[str, object]]) -> str:
    return '<dl class="cards">' + "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(str(value))}</dd></div>" for name, value in facts
    ) + "</dl>"  # fmt: skip


def _pairs(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    return [(str(row["name"]), row["count"]) for row in rows]


def _bars(heading: str, rows: Sequence[tuple[str, int]], kind: str) -> str:
    return _section(heading, bars(rows, kind)) if rows else ""


def _table(heading: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    numbers = {name for name in columns if all(isinstance(row.get(name), int | float | None) for row in rows)}
    kinds = [(name, ' class="n"' if name in numbers else "") for name in columns]
    heads = "".join(f'<th scope="col"{kind}>{escape(name.replace("_", " "))}</th>' for name, kind in kinds)
    cells = ("".join(f"<td{kind}>{escape(_cell(row.get(name)))}</td>" for name, kind in kinds) for row in rows)
    body = "".join(f"<tr>{each}</tr>" for each in cells)
    return _section(heading, f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>")


def _cell(value: object) -> str:
    return "–" if value is None else str(value)


def _lists(document: Mapping[str, Any]) -> str:
    known = any("queries" in row for row in document["lists"])
    columns = ("list", "refusals", "clients", *(("unique", "decisive", "queries", "quota_left", "quota") if known else ()))
    said = ""
    if known:
        said = '<p class="soft">Unique, decisive, queries: of the last 7 days, as the daemon counted.</p>'
    if document["lists_unknown"]:
        said = f'<p class="soft">Unique hits and cost unknown: {escape(document["lists_unknown"])}</p>'
    return _table("Lists", columns, document["lists"]) + (said if document["lists"] else "")


def _greylisting(found: Mapping[str, Any]) -> str:
    if not found["attempts"]:
        return ""
    return _section("Greylisting", _cards((
        ("attempts put off", found["attempts"]), ("mails", found["mails"]), ("came back", found["came_back"]),
        ("not within 6 hours", found["did_not_come_back"]), ("may still come", found["waiting"]),
        ("median wait", span(found["wait_median"])), ("90 % at most", span(found["wait_p90"])),
    )))  # fmt: skip


def _details(heading: str, reasons: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        {"stage": row["stage"], "reason": row["reason"], "whom": below["name"], "count": below["count"]}
        for row in reasons
        for below in row["of"]
    ]
    return _table(heading.capitalize(), ("stage", "reason", "whom", "count"), rows)
