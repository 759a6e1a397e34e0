"""Bars in SVG, on a logarithmic scale."""

from collections.abc import Mapping
from math import log10
from xml.sax.saxutils import escape

COLOURS = ("#2f6f4f", "#c08a2d", "#a33d3d", "#4a5a8a")
LEFT, WIDTH, BAR, GAP = 170, 560, 14, 18


def bars(title: str, groups: Mapping[str, Mapping[str, float]]) -> str:
    """A group of bars for each of `groups`, a bar for each name in it; every value is written beside its bar."""
    values = [value for group in groups.values() for value in group.values()]
    low, high = log10(min(values)) - 0.3, log10(max(values))
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    parts, y = [], 50
    for number, name in enumerate(names):
        x = LEFT + number * 150
        parts.append(f'<rect x="{x}" y="28" width="10" height="10" fill="{COLOURS[number]}"/>')
        parts.append(f'<text x="{x + 15}" y="37">{escape(name)}</text>')
    for label, group in groups.items():
        middle = y + len(group) * BAR / 2 + 4
        parts.append(f'<text x="{LEFT - 10}" y="{middle:.0f}" text-anchor="end">{escape(label)}</text>')
        for name, value in group.items():
            width = max(2, (log10(value) - low) / (high - low) * WIDTH)
            colour = COLOURS[names.index(name)]
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{width:.0f}" height="{BAR - 2}" fill="{colour}"/>')
            parts.append(f'<text x="{LEFT + width + 6:.0f}" y="{y + BAR - 4}">{value:,.1f}</text>')
            y += BAR
        y += GAP
    size = f'width="{LEFT + WIDTH + 100}" height="{y}"'
    style = 'font-family="sans-serif" font-size="12" fill="#333"'
    head = (
        f'<rect width="100%" height="100%" fill="#fff"/><text x="10" y="18" font-weight="bold">{escape(title)}</text>'
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{head}{"".join(parts)}</svg>\n'
