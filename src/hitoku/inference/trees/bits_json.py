# SPDX-License-Identifier: Apache-2.0
"""A thermometer encoder as JSON: part of the client specification, read from anybody."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from hitoku.inference.errors import ModelError
from hitoku.inference.trees.bits import MAX_BITS, Thermometer
from hitoku.inference.trees.reading import MAX_CATEGORIES, Column

__all__ = ["MAX_FEATURES", "read", "write"]

MAX_FEATURES: Final = 100_000
MAX_NAME_CHARS: Final = 1_000
_CHOICES: Final = {
    "missing": ("refused", "nan", "zero", "as_zero"),
    "reading": ("exact", "cast", "natural"),
    "unknown": ("missing", "other"),
    "missing_bit": (True, False),
}


def write(bits: Thermometer) -> dict[str, Any]:
    """See `Thermometer.to_dict`."""
    return {
        "precision": bits.precision,
        "infinite": bits.infinite,
        "double": bits.double,
        "columns": [
            {
                "name": column.name,
                "missing": column.missing,
                "categories": None if column.categories is None else list(map(_text, column.categories)),
                "reading": column.reading,
                "unknown": column.unknown,
                "marker": None if column.marker is None else _text(column.marker),
                "bins": [_text(b) for b in bins],
                "missing_bit": missing,
            }
            for column, bins, missing in zip(bits.columns, bits.bins, bits.missing, strict=True)
        ],
    }


def read(data: Mapping[str, Any]) -> Thermometer:
    """See `Thermometer.from_dict`."""
    try:
        return _read(data)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise ModelError("FORMAT", "is no thermometer encoder", where="encoder") from error


def _read(data: Mapping[str, Any]) -> Thermometer:
    given = data["columns"]
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_FEATURES:
        raise ValueError
    if sum(len(one["bins"]) + len(one["categories"] or ()) for one in given) > MAX_BITS:
        raise ValueError
    columns, bins, missing = [], [], []
    for one in given:
        column, of = _column(one)
        columns.append(column)
        bins.append(of)
        missing.append(one["missing_bit"])
    infinite, double = data["infinite"], data["double"]
    if data["precision"] not in ("float32", "float64") or {type(infinite), type(double)} != {bool}:
        raise ValueError
    return Thermometer(tuple(columns), tuple(bins), tuple(missing), data["precision"], infinite, double)


def _column(one: Mapping[str, Any]) -> tuple[Column, tuple[float, ...]]:
    if any(not any(one[name] is c or one[name] == c for c in some) for name, some in _CHOICES.items()):
        raise ValueError
    if type(one["missing_bit"]) is not bool:
        raise ValueError
    name, categories = one["name"], one["categories"]
    if not isinstance(name, str) or len(name) > MAX_NAME_CHARS:
        raise ValueError
    if categories is not None:
        if not isinstance(categories, list) or len(categories) > MAX_CATEGORIES:
            raise ValueError
        categories = tuple(_number(c) for c in categories)
    marker = None if one["marker"] is None else _number(one["marker"])
    bins = tuple(_number(b) for b in one["bins"])
    if any(a >= b for a, b in itertools.pairwise(bins)) or (bins and categories is not None):
        raise ValueError
    return Column(name, one["missing"], categories, one["reading"], one["unknown"], marker), bins


def _text(number: float) -> float | str:
    return number if np.isfinite(number) else str(number)


def _number(given: Any) -> float:
    if given in ("inf", "-inf"):
        return float(given)
    if isinstance(given, bool) or not isinstance(given, int | float) or not np.isfinite(given):
        raise ValueError
    return float(given)
