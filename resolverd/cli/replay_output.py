"""What a replay tells, for people and as JSON."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import click

from resolverd.cli import output
from resolverd.ops.replay.compare import Change, Summary, Totals
from resolverd.ops.replay.judge import Said

_SHOWN: Final = 50
"""Changed verdicts that are shown to people."""


def document(found: Summary) -> dict[str, Any]:
    """The JSON object; its keys are stable."""
    return {
        "attempts": found.attempts,
        "since": _time(found.since),
        "until": _time(found.until),
        "same": found.same,
        "changed": found.changed,
        "unknown": found.unknown,
        "changes": [_change(each) for each in found.changes],
        "changes_left_off": found.changed - len(found.changes),
        "transitions": [{"old": old, "new": new, "count": count} for (old, new), count in found.transitions.most_common()],
        "missing": [{"what": what, "count": count} for what, count in found.missing.most_common()],
        "then": _totals(found.then, unknown=False),
        "now": _totals(found.now),
        "lists": [{"id": name, **asdict(totals)} for name, totals in found.lists.items()],
        "variants": [
            {"change": variant.what, "list": variant.list_id, "without": _totals(before), "with": _totals(after)}
            for variant, before, after in found.variants
        ],
    }


def show(found: Summary) -> None:
    """The same for people."""
    if not found.attempts:
        output.print_text("no verdict is kept on mail to a recipient")
        return
    span = f"{_local(found.since)} to {_local(found.until)}"
    output.print_text(f"{found.attempts} attempts, {span}")
    output.print_text(f"{found.same} as then, {found.changed} changed, {found.unknown} unknown")
    click.echo()
    for change in found.changes[:_SHOWN]:
        _show_change(change)
    if (rest := found.changed - min(len(found.changes), _SHOWN)) > 0:
        output.print_text(f"and {rest} more; --format json has {len(found.changes)} of them")
    if found.changed:
        click.echo()
        moves = [(count, f"{old} → {new}") for (old, new), count in found.transitions.most_common()]
        output.print_table(("count", "then → now"), moves, right=("count",))
        click.echo()
    else:
        known = "Of what is known, no" if found.unknown else "No"
        output.print_text(f"{known} verdict would be another one.")
        click.echo()
    if found.missing:
        output.print_text("Unknown, as the evidence does not hold:")
        for what, count in found.missing.most_common():
            output.print_text(f"{count} × {what}", "  ")
        click.echo()
    _show_totals(found)
    columns = ("list", "listed", "alone", "decisive", "doubtful", "asked", "cached")
    rows = [
        (name, each.listed, each.unique, each.decisive, each.candidates, each.asked, each.cached)
        for name, each in found.lists.items()
    ]
    output.print_table(columns, rows, right=columns[1:], empty="no list is asked")


def _show_totals(found: Summary) -> None:
    rows: list[tuple[object, ...]] = [("then", found.then.refusals, found.then.candidates, "", "")]
    rows.append(("now", *_row(found.now)))
    for variant, before, after in found.variants:
        first, then = ("without", "with") if variant.what == "add" else ("with", "without")
        rows.append((f"{first} {variant.list_id}", *_row(before)))
        rows.append((f"{then} {variant.list_id}", *_row(after)))
    columns = ("", "refused", "doubtful", "unknown", "questions")
    output.print_table(columns, dict.fromkeys(rows), right=columns[1:])
    output.print_text("refused: or put off, greylisting aside; doubtful: of those, let in at another time, or on an allow list")
    click.echo()


def _row(totals: Totals) -> tuple[object, ...]:
    return totals.refusals, totals.candidates, totals.unknown, totals.questions


def _show_change(change: Change) -> None:
    sender = "" if change.sender is None else f" from <{change.sender}>"
    doubt = ", doubtful" if change.candidate else ""
    head = f"{_local(change.at)} {change.client or 'no address'}{sender} to <{change.recipient}>"
    output.print_text(head)
    output.print_text(f"{change.old.word} → {change.new.word}{doubt}  ({change.id})", "  ")
    output.print_text(f"then: {change.old.reason}", "    ")
    output.print_text(f"now: {change.new.reason}", "    ")


def _change(change: Change) -> dict[str, Any]:
    return {
        "id": change.id,
        "at": _time(change.at),
        "client_address": None if change.client is None else str(change.client),
        "helo_name": change.helo_name,
        "sender": change.sender,
        "recipient": change.recipient,
        "old": _said(change.old),
        "new": _said(change.new),
        "candidate": change.candidate,
    }


def _said(said: Said) -> dict[str, Any]:
    return {"action": str(said.action), "code": said.code or None, "reason": said.reason}


def _totals(totals: Totals, *, unknown: bool = True) -> dict[str, Any]:
    found = asdict(totals)
    if not unknown:  # what was asked then stands beside each list
        del found["unknown"], found["questions"]
    return found


def _time(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _local(at: float | None) -> str:
    return output.moment(None if at is None else int(at))
