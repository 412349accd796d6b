# SPDX-License-Identifier: Apache-2.0
"""A picture of a circuit: its calls from top to bottom, what fills the modulus, where time goes."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final

from hitoku.inference.report.figures import milliseconds

__all__ = ["picture"]

_MOST_ROWS: Final = 40
_HEIGHT: Final = 46
_TOP: Final = 40
_BOX: Final = (70, 330)
_BAR: Final = (425, 300)
_TIME: Final = (750, 110)
_WIDTH: Final = 900


def picture(data: Mapping[str, Any]) -> str:
    """An SVG picture; colours come from the page's style, with ones of its own where there is none."""
    nodes = data["nodes"]
    rows: list[tuple[list[int], str, float]] = [
        ([row["index"]], row["op"], 0.0) for row in nodes if row["op"] == "input"
    ]
    for step in data["cost"]["steps"]:
        rows.append((step["nodes"], " · ".join(_shortened(nodes, step["nodes"])), step["wall_ms"]))
    left_out = 0
    if len(rows) > _MOST_ROWS:
        # Inputs stay; of the calls the dearest, in the circuit's order.
        longest = sorted(range(len(rows)), key=lambda i: (rows[i][2] == 0.0, rows[i][2]), reverse=True)
        kept = sorted(longest[:_MOST_ROWS])
        left_out = len(rows) - len(kept)
        rows = [rows[i] for i in kept]
    place = {index: at for at, (members, _, _) in enumerate(rows) for index in members}
    most_bits = max(row["modulus_bits"] for row in nodes)
    most_ms = max((ms for _, _, ms in rows), default=0.0) or 1.0
    parts = [_heading()]
    for at, (members, words, ms) in enumerate(rows):
        sources = {place[a] for i in members for a in nodes[i]["args"] if place.get(a, at) != at}
        parts += [_edge(source, at) for source in sorted(sources)]
        labels = list(dict.fromkeys(nodes[i]["label"] for i in members if nodes[i]["label"]))
        label = labels[0] if len(labels) == 1 else f"{labels[0]} to {labels[-1]}" if labels else ""
        parts.append(_box(at, nodes[members[-1]], words, label))
        parts.append(_bar(at, nodes[members[-1]], most_bits))
        if ms:
            parts.append(_time(at, ms, most_ms))
    height = _TOP + _HEIGHT * len(rows) + 30
    if left_out:
        parts.append(_text(_BOX[0], height - 10, f"{left_out} more calls, each quicker, are left out", "dim"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="the circuit of {escape(data["name"], quote=True)}">{_STYLE}{"".join(parts)}</svg>'
    )


_STYLE: Final = """<style>
.box{fill:var(--panel,#f4f5f7);stroke:var(--line,#c6ccd5)}
.edge{fill:none;stroke:var(--line,#9aa3af);stroke-width:1.5}
.value{fill:var(--value,#2f6fde)}.noise{fill:var(--noise,#d9822b)}.free{fill:var(--free,#dfe3e8)}
.ms{fill:var(--time,#5b6b7f)}
text{font:12px system-ui,sans-serif;fill:var(--ink,#1c2530)}.dim{fill:var(--dim,#66707c);font-size:11px}
</style>"""


def _shortened(nodes: list[Mapping[str, Any]], members: list[int]) -> list[str]:
    names = [nodes[i]["op"] for i in members]
    return names if len(names) <= 5 else [*names[:3], f"{len(names) - 4} more", names[-1]]


def _text(x: float, y: float, words: str, style: str = "", anchor: str = "start") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{kind} text-anchor="{anchor}">{escape(words)}</text>'


def _rect(x: float, y: float, width: float, height: float, style: str) -> str:
    size = f'width="{max(width, 0):.1f}" height="{height:.1f}"'
    return f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" {size} rx="3"/>'


def _heading() -> str:
    return (
        _text(_BOX[0], 20, "call: operations, ciphertexts")
        + _text(_BAR[0], 20, "modulus: noise, value, room (bits)")
        + _text(_TIME[0], 20, "predicted time")
    )


def _edge(source: int, target: int) -> str:
    top, bottom = _TOP + _HEIGHT * source + 36, _TOP + _HEIGHT * target
    if target == source + 1:
        x = _BOX[0] + 24
        return f'<path class="edge" d="M{x} {top}V{bottom}"/>'
    # A longer way bends out to the left, the further the more.
    out = max(_BOX[0] - 10 - 6 * (target - source), 6)
    middle_top, middle_bottom = top - 18, bottom + 18
    return (
        f'<path class="edge" d="M{_BOX[0]} {middle_top}C{out} {middle_top} {out} {middle_bottom} '
        f'{_BOX[0]} {middle_bottom}"/>'
    )


def _box(at: int, node: Mapping[str, Any], words: str, label: str) -> str:
    y = _TOP + _HEIGHT * at
    size = f"{node['count']:,} x {node['parts']} parts, scale 2^{node['scale_bits']:.1f}"
    title = f"{label}: {words}" if label else words
    short = title if len(title) <= 52 else title[:51] + "…"
    return (
        _rect(_BOX[0], y, _BOX[1], 36, "box")
        + _text(_BOX[0] + 8, y + 15, short)
        + _text(_BOX[0] + 8, y + 30, size, "dim")
    )


def _bar(at: int, node: Mapping[str, Any], most: float) -> str:
    y = _TOP + _HEIGHT * at + 4
    unit = _BAR[1] / most
    whole = node["modulus_bits"]
    used = min(max(node["used_bits"], 0.0), whole)
    noise = min(node["noise_bits"], used)
    x = _BAR[0]
    room = f"{whole - node['used_bits']:.0f} of {whole:.0f} free, {node['level']} primes"
    return (
        _rect(x, y, whole * unit, 14, "free")
        + _rect(x, y, used * unit, 14, "value")
        + _rect(x, y, noise * unit, 14, "noise")
        + _text(x, y + 27, room, "dim")
    )


def _time(at: int, ms: float, most: float) -> str:
    y = _TOP + _HEIGHT * at + 4
    return _rect(_TIME[0], y, _TIME[1] * ms / most, 14, "ms") + _text(
        _TIME[0], y + 27, milliseconds(ms), "dim"
    )
