"""Plots in SVG, drawn by hand: no script, no font and no colour of their own, so that the page's light and dark suit them."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

WIDTH: Final = 760
_HEIGHT: Final = 190
_LEFT: Final = 46
_BOTTOM: Final = 22


def stacked(rows: Sequence[Mapping[str, Any]], label: str, series: Sequence[str], title: str) -> str:
    """Bars, a row each, of the series on top of each other; `label` names the rows."""
    most = max((sum(row[name] for name in series) for row in rows), default=0)
    top = _round_up(most)
    height = _HEIGHT - _BOTTOM - 10
    step = (WIDTH - _LEFT) / max(1, len(rows))
    every = max(1, round(44 / step))
    parts = [f'<svg viewBox="0 0 {WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>']
    for mark in (0, top / 2, top):
        y = 10 + height * (1 - mark / top)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="axis" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{mark:g}</text>')
    for at, row in enumerate(rows):
        x = _LEFT + at * step
        base = 10.0 + height
        figures = ", ".join(f"{name} {row[name]}" for name in series)
        parts.append(f"<g><title>{escape(str(row[label]))}: {escape(figures)}</title>")
        parts.append(f'<rect class="hit" x="{x:.1f}" y="10" width="{step:.1f}" height="{height}"/>')
        for name in series:
            size = height * row[name] / top
            if size:
                base -= size
                at_x, width = x + step * 0.12, step * 0.76
                parts.append(f'<rect class="{name}" x="{at_x:.1f}" y="{base:.1f}" width="{width:.1f}" height="{size:.1f}"/>')
        parts.append("</g>")
        if at % every == 0:
            name = escape(str(row[label]))
            parts.append(f'<text class="axis" x="{x + step / 2:.1f}" y="{_HEIGHT - 6}" text-anchor="middle">{name}</text>')
    return "".join(parts) + "</svg>"


def bars(rows: Sequence[tuple[str, int]], kind: str) -> str:
    """A table of names with a bar for each count."""
    most = max((count for _, count in rows), default=1)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="bar">'
        '<svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="{kind}" width="{100 * count / most:.2f}" height="8"/></svg></td><td class="n">{count}</td></tr>'
        for name, count in rows
    )
    return f'<table class="bars">{body}</table>'


def _round_up(most: int) -> int:
    """An even number with few digits that is no less."""
    unit = int(10 ** (len(str(most)) - 1))
    return max(2, next(unit * factor for factor in (1, 2, 4, 6, 8, 10) if unit * factor >= most))
