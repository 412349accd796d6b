# SPDX-License-Identifier: Apache-2.0
"""An evaluation as plots: Vega-Lite specifications, or SVG."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from hitoku.errors import InputError

if TYPE_CHECKING:
    from hitoku.learning.evaluation.report import Report

__all__ = ["auprc_chart", "curves_chart", "svg"]

_SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v6.json"
_ORDER: Final = ["alone", "joint", "pooled", "ensemble"]
_COLOURS: Final = ["#b0b0b0", "#1f3a5f", "#7aa6c2", "#c8553d"]


def _colour() -> dict[str, Any]:
    return {
        "field": "form",
        "type": "nominal",
        "sort": _ORDER,
        "scale": {"domain": _ORDER, "range": _COLOURS},
        "title": None,
    }


def auprc_chart(report: Report) -> dict[str, Any]:
    """AUPRC of every model: each bank's test rows, then all banks'; with 95 % bands."""
    rows = []
    for entry in report.entries:
        if math.isnan(entry.auprc) or (entry.test == "all banks" and entry.bank is not None):
            continue
        rows.append(
            {
                "test": entry.test,
                "form": entry.form,
                "auprc": entry.auprc,
                "low": entry.low,
                "high": entry.high,
            }
        )
    for form in ("alone", "ensemble"):
        mean = report.mean(form, "all", "auprc")
        if not math.isnan(mean):
            rows.append({"test": "all banks", "form": form, "auprc": mean, "low": mean, "high": mean})
    place = {"field": "test", "type": "nominal", "title": None, "axis": {"labelAngle": 0}}
    offset = {"field": "form", "sort": _ORDER}
    value = {"field": "auprc", "type": "quantitative", "title": "AUPRC", "scale": {"domain": [0, 1]}}
    return {
        "$schema": _SCHEMA,
        "title": {
            "text": f"{report.name}: average precision on test rows",
            "subtitle": "lines: 95 % bands; of alone and ensemble on all banks' rows the mean over the banks",
            "anchor": "start",
        },
        "data": {"values": rows},
        "width": 640,
        "height": 300,
        "encoding": {"x": place, "xOffset": offset},
        "layer": [
            {"mark": "bar", "encoding": {"y": value, "color": _colour()}},
            {
                "mark": {"type": "rule", "color": "#222222"},
                "encoding": {"y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}},
            },
        ],
    }


def curves_chart(report: Report) -> dict[str, Any]:
    """Precision over recall on all banks' test rows."""
    rows = [
        {"form": form, "recall": recall, "precision": precision}
        for form, points in report.curves.items()
        for recall, precision in points
    ]
    share = {"type": "quantitative", "scale": {"domain": [0, 1]}}
    return {
        "$schema": _SCHEMA,
        "title": {
            "text": f"{report.name}: precision and recall on all banks' test rows",
            "subtitle": "alone, ensemble: the bank whose model is best there",
            "anchor": "start",
        },
        "data": {"values": rows},
        "width": 420,
        "height": 320,
        "mark": {"type": "line", "interpolate": "step-after"},
        "encoding": {
            "x": {"field": "recall", "title": "recall", **share},
            "y": {"field": "precision", "title": "precision", **share},
            "color": _colour(),
        },
    }


def svg(chart: dict[str, Any]) -> str:
    """A specification drawn.

    Raises:
        InputError: the extra `plots` is not installed.
    """
    try:
        import vl_convert
    except ImportError:
        raise InputError('an SVG needs the extra "plots": pip install "hitoku[plots]"') from None
    made: str = vl_convert.vegalite_to_svg(chart)
    return made
