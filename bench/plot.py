"""Plots as SVG: bars beside a target, curves over a logarithmic axis, and what happens over time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_STYLE = "font-family: sans-serif; font-size: 12px"
_COLOURS = ("#1b6ca8", "#d1712b", "#5a8f3c", "#8d5aa5")
_REACHED, _MISSED = "#5a8f3c", "#c0392b"

Points = Sequence[tuple[float, float]]


def bars(rows: Sequence[tuple[str, float, bool]], caption: str, most: float = 4.0) -> str:
    """Draw a bar a row (label, value, whether it is good), and a line at 1; a bar beyond `most` is cut there and says so."""
    left, width, step = 420, 360, 20
    parts = []
    for index, (label, value, good) in enumerate(rows):
        y = 24 + step * index
        length = min(value, most) / most * width
        parts += [
            _text(left - 8, y + 11, label, "end"),
            f'<rect x="{left}" y="{y}" width="{length:.1f}" height="14" fill="{_REACHED if good else _MISSED}"/>',
            _text(left + length + 4, y + 11, f"{value:.2f}"),
        ]
    bottom, line = 24 + step * len(rows), left + width / most
    parts += [
        f'<line x1="{line:.1f}" y1="16" x2="{line:.1f}" y2="{bottom}" stroke="black" stroke-dasharray="4 2"/>',
        _text(line, 12, caption, "middle"),
    ]
    return _svg(left + width + 60, bottom + 8, parts)


def curves(caption: str, lines: Mapping[str, Points], ours: str) -> str:
    """Draw a curve a name over a logarithmic axis (a zero is drawn where 1 is), ours thicker; the value axis begins at 0."""
    left, top, width, height = 70, 28, 520, 240
    points = [point for each in lines.values() for point in each]
    places = sorted({math.log10(max(place, 1.0)) for place, _ in points})
    low, span = places[0], (places[-1] - places[0]) or 1.0
    most = max((value for _, value in points), default=1.0) or 1.0

    def across(place: float) -> float:
        return left + (math.log10(max(place, 1.0)) - low) / span * width

    def up(value: float) -> float:
        return top + height - value / most * height

    parts = [_text(left, 16, caption), f'<path d="M{left},{top} V{top + height} H{left + width}" fill="none" stroke="black"/>']
    parts += [_text(left - 6, up(most * share) + 4, f"{most * share:,.4g}", "end") for share in (0.0, 0.5, 1.0)]
    ticks = sorted({place for place, _ in points})
    parts += [_text(across(place), top + height + 16, f"{place:,.0f}", "middle") for place in ticks]
    for index, (name, each) in enumerate(lines.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        path = " ".join(f"{across(place):.1f},{up(value):.1f}" for place, value in each)
        parts += [
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{3 if name == ours else 1.5}"/>',
            *(f'<circle cx="{across(place):.1f}" cy="{up(value):.1f}" r="3" fill="{colour}"/>' for place, value in each),
            _text(left + width + 10, top + 16 * (index + 1), name, fill=colour),
        ]
    return _svg(left + width + 190, top + height + 28, parts)


def timeline(panels: Sequence[tuple[str, Mapping[str, Points]]], spans: Sequence[tuple[float, float]], caption: str) -> str:
    """Draw panels (caption, lines) below one another over the same time; `spans` of it are grey. The value axes begin at 0."""
    left, width, height, step = 80, 760, 90, 130
    end = max((place for _, lines in panels for each in lines.values() for place, _ in each), default=1.0) or 1.0
    parts = []
    for index, (unit, lines) in enumerate(panels):
        top = 28 + index * step
        most = max((value for each in lines.values() for _, value in each), default=1.0) or 1.0
        parts += [
            f'<rect x="{left + begin / end * width:.1f}" y="{top}" width="{(stop - begin) / end * width:.1f}" height="{height}" '
            'fill="#eeeeee"/>' for begin, stop in spans
        ]
        parts += [
            _text(left, top - 8, unit),
            f'<path d="M{left},{top} V{top + height} H{left + width}" fill="none" stroke="black"/>',
            _text(left - 6, top + 10, f"{most:,.4g}", "end"),
            _text(left - 6, top + height, "0", "end"),
        ]
        for number, (name, each) in enumerate(lines.items()):
            colour = _COLOURS[number % len(_COLOURS)]
            points = ((left + place / end * width, top + height - value / most * height) for place, value in each)
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts += [
                f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.2"/>',
                _text(left + width + 8, top + 12 + 16 * number, name, fill=colour),
            ]
    bottom = 28 + len(panels) * step
    parts += [_text(left + share * width, bottom - 24, f"{share * end:.0f}", "middle") for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    return _svg(left + width + 130, bottom, [*parts, _text(left + width / 2, bottom - 8, caption, "middle")])


def _text(x: float, y: float, text: str, anchor: str = "start", fill: str = "black") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{escape(text)}</text>'


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" style="{_STYLE}">'
    return "\n".join([head, f'<rect width="{width:.0f}" height="{height:.0f}" fill="white"/>', *parts, "</svg>", ""])
