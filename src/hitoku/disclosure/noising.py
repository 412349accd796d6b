# SPDX-License-Identifier: Apache-2.0
"""From exact figures to noised outputs: the middle part of the release of a noised question.

Noise is added to whole numbers, then groups are dropped whose noisy number of units is below the threshold.
From there on nothing exact is left, and the rest of the question (HAVING, expressions, window functions,
ORDER BY, LIMIT, set operations) is computed from the noised figures by an engine without files, network or
settings.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from hitoku.disclosure.noise import Draws, Noise
from hitoku.engine.inline import compute
from hitoku.errors import DisclosureError, EngineError
from hitoku.questions.noised import HIGH, LOW, PART, answer_text, key_name
from hitoku.questions.privacy import FigureKind

if TYPE_CHECKING:
    from hitoku.disclosure.noise import NoisedPart
    from hitoku.questions.privacy import Part
    from hitoku.questions.question import Question

__all__ = ["described", "noised"]


def noised(table: Any, question: Question, noise: Noise, draws: Draws | None) -> tuple[Any, Any]:
    """Add the plan's noise to a question's figures and compute the outputs.

    Args:
        table: the figures, as `hitoku.questions.noised.figures_text` names them.
        question: the question.
        noise: the plan's noise.
        draws: where the noise comes from; None where the figures have it already.

    Returns:
        The outputs in the order of release, and the 95 % bands: a table with two columns
        (``<name>_low``, ``<name>_high``) for each output that has one, row by row.

    Raises:
        DisclosureError: the figures are not of the question's form.
    """
    privacy = question.privacy
    if privacy is None or len(privacy.parts) != len(noise.parts):
        raise DisclosureError("the plan's noise is of another question: nothing is released")
    _expected(table, question)
    groups = []
    for n, (part, how) in enumerate(zip(privacy.parts, noise.parts, strict=True), 1):
        block = question.form.blocks[n - 1]
        groups.append(_noised_groups(table, n, len(block.groups), part, how, draws))
    single = [part.half_widths() for part in noise.parts]
    paired = [part.half_widths(pairs=True) for part in noise.parts]
    text, banded = answer_text(question.form, privacy, single, paired)
    tables = {f"_hitoku_p{n}": table for n, table in enumerate(groups, 1)}
    try:
        outputs = compute(tables, text)
    except EngineError as error:
        raise DisclosureError(str(error)) from None
    return _split(outputs, [o.name for o in question.outputs], banded)


def _expected(table: Any, question: Question) -> None:
    """Refuse figures that are not of the question's form."""
    privacy = question.privacy
    if privacy is None or not isinstance(table, pa.Table):
        raise DisclosureError("the cells are no figures: nothing is released")
    keys = {
        key_name(n, i) for n, b in enumerate(question.form.blocks, 1) for i in range(1, len(b.groups) + 1)
    }
    most = max(len(part.figures) for part in privacy.parts)
    figures = {f"_hitoku_f{i}" for i in range(1, most + 1)}
    names = table.column_names
    if len(set(names)) != len(names) or set(names) != keys | figures | {PART}:
        raise DisclosureError("the cells do not have the question's figures: nothing is released")
    for name in (PART, *figures):
        if not pa.types.is_integer(table.column(name).type):
            raise DisclosureError("a figure is no whole number: nothing is released")


def _noised_groups(table: Any, n: int, keys: int, part: Part, how: NoisedPart, draws: Draws | None) -> Any:
    """One branch's groups with noise, those below the threshold left out."""
    mine = table.filter(pc.equal(table.column(PART).cast(pa.int64()), _int64(n)))
    columns = {key_name(n, i): mine.column(key_name(n, i)) for i in range(1, keys + 1)}
    exact = [mine.column(f"_hitoku_f{i}").cast(pa.int64()) for i in range(1, len(part.figures) + 1)]
    if any(figure.null_count for figure in exact):
        raise DisclosureError("a figure is missing: nothing is released")
    kept = None
    if how.threshold is not None:
        if not part.figures or part.figures[0].kind is not FigureKind.UNITS:
            raise DisclosureError("a thresholded branch does not count its units: nothing is released")
        units = _with_noise(exact[0], how.scales[0], draws)
        kept = pc.indices_nonzero(pc.greater_equal(units, _int64(how.threshold)))
        columns = {name: column.take(kept) for name, column in columns.items()}
        noisy = [units.take(kept)]
        exact = [figure.take(kept) for figure in exact[1:]]
    else:
        noisy = []
    scales = how.scales[len(noisy) :]
    noisy += [_with_noise(figure, scale, draws) for figure, scale in zip(exact, scales, strict=True)]
    columns |= {f"_hitoku_f{i}": figure for i, figure in enumerate(noisy, 1)}
    if not columns:
        raise DisclosureError("a branch has no figures: nothing is released")
    return pa.table(columns)


def _with_noise(figure: Any, scale: int, draws: Draws | None) -> Any:
    if draws is None:
        return figure
    # No overflow: figures are within 2^62, scales below 2^53, and no draw is a thousand sigmas large.
    drawn = draws.take(scale, len(figure))
    return pc.add_checked(figure, pa.chunked_array([_array(drawn)]))


def _array(values: Any) -> Any:
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values)])


def _int64(value: int) -> Any:
    from array import array

    return _array(array("q", [value]))[0]


def _split(table: Any, names: list[str], banded: tuple[bool, ...]) -> tuple[Any, Any]:
    outputs = table.select(names)
    found = [(name, place) for place, (name, has) in enumerate(zip(names, banded, strict=True), 1) if has]
    columns = {}
    for name, place in found:
        columns[f"{name}_low"] = table.column(f"{LOW}{place}")
        columns[f"{name}_high"] = table.column(f"{HIGH}{place}")
    return outputs, pa.table(columns) if columns else None


def described(question: Question, noise: Noise) -> dict[str, Any]:
    """What a receiver should know of the noise: JSON-ready, the same for every run of the plan.

    ``columns`` has for each output that is a single figure its noise's standard deviation and the half-width
    of its 95 % band, in the output's units; for others None (a mean's band is row by row, in the bands).
    """
    privacy = question.privacy
    if privacy is None:
        raise DisclosureError("the question has no noise: nothing is released")
    columns: list[dict[str, str | None]] = []
    for place, output in enumerate(question.outputs):
        found = set()
        for block, part, how in zip(question.form.blocks, privacy.parts, noise.parts, strict=True):
            places = dict(part.made_of).get(block.items[place].value.text, ())
            one = places[0] if len(places) == 1 else None
            widths = how.half_widths()
            found.add(None if one is None else (how.sigmas[one], widths[one], part.figures[one].decimals))
        if len(found) == 1 and (known := found.pop()) is not None:
            scale, width, decimals = known
            columns.append(
                {
                    "name": output.name,
                    "sigma": _decimal(scale, decimals),
                    "half_width": _decimal(width, decimals),
                }
            )
        else:
            columns.append({"name": output.name, "sigma": None, "half_width": None})
    thresholds = [part.threshold for part in noise.parts if part.threshold is not None]
    laws = sorted({part.law for part in noise.parts})
    return {
        "mechanism": " and ".join(laws),
        "unit": noise.unit,
        "users_noise": noise.users_noise,
        "confidence": "0.95",
        "threshold": max(thresholds) if thresholds else None,
        "bounds": [
            {"max_rows_per_group": part.max_rows, "max_groups": part.max_groups} for part in privacy.parts
        ],
        "columns": columns,
    }


def _decimal(value: int, decimals: int) -> str:
    return str(Decimal(value).scaleb(-decimals))
