# SPDX-License-Identifier: Apache-2.0
"""The operator's guide says what the code does: settings, defaults, checks, metrics."""

from __future__ import annotations

import inspect
import re
import tomllib
from pathlib import Path

from hitoku.node import readiness
from hitoku.node.metrics import Metrics, Standing
from hitoku.node.settings import NodeSettings, QuotaSettings

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "operating.md").read_text("utf-8")


def _rows(heading: str) -> list[list[str]]:
    """The rows of the table whose first line begins so."""
    table = re.match(r"(?:^\|.*\n)+", PAGE[PAGE.index(heading) :], re.M)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()[2:]]


def test_settings_on_the_page_can_be_used_and_quotas_are_the_defaults():
    first, second = re.findall(r"^```toml\n(.*?)^```", PAGE, re.M | re.S)
    made = NodeSettings.made(tomllib.loads(first), "page")
    assert made.console is not None
    assert made.quotas == QuotaSettings()
    assert set(tomllib.loads(second)) == {"database"}
    named = {cells[0].strip("`") for cells in _rows("| in `[quotas]`")}
    assert named == set(QuotaSettings.model_fields)


def test_metrics_on_the_page_are_those_that_are_told_with_their_labels():
    metrics = Metrics(lambda: Standing({"served": 1}, {"run": 0}, 0), "1")
    told = {}
    for family in metrics._registry.collect():
        if not family.name.startswith("hitoku_"):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        told[name] = family
    rows = _rows("| metric | labels | is |")
    assert {cells[0].strip("`") for cells in rows} == set(told)
    for name, labels, *_ in rows:
        collector = metrics._registry._names_to_collectors.get(name.strip("`").removesuffix("_total"))
        known = getattr(collector, "_labelnames", None)
        if known is not None:
            assert tuple(x for x in labels.split(", ") if x) == tuple(known), name


def test_checks_on_the_page_are_those_that_are_made():
    source = inspect.getsource(readiness)
    for name, code, *_ in _rows("| check | code | means | do |"):
        assert f'"{name.strip("`")}"' in source
        assert f'"{code.strip("`")}"' in source
