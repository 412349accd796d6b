# SPDX-License-Identifier: Apache-2.0
"""A rule as fields of an HTML form, and back; and as YAML or JSON text, and back.

Both ways go through the rule's own JSON form, in AWS Clean Rooms' names. What does not make a rule stays as
it was typed, so that the form shows it again beside what is wrong with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml
from pydantic import TypeAdapter, ValidationError

from hitoku import limits
from hitoku.errors import InputError, RoomError
from hitoku.room.agreement import Table
from hitoku.room.rules import ANY_QUERY, AggregateFunction, Rule
from hitoku.room.yamlfile import Dumper, load_yaml

__all__ = ["Fields", "data_of_form", "data_of_rule", "data_of_text", "problems_of", "text_of_data"]

_RULE: Final[TypeAdapter[Any]] = TypeAdapter(Rule)
_CONSTRAINTS: Final = 3
_PLAIN: Final = {"missing": "is missing", "string_too_short": "is missing", "too_short": "needs at least one"}
"""What pydantic says in words of Python: said for people."""


class Fields:
    """What a form sent: each name with its values, in order."""

    def __init__(self, pairs: Iterable[tuple[str, Any]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            if isinstance(value, str):
                # Browsers end the lines of a text area in two characters.
                self._values.setdefault(name, []).append(value.replace("\r\n", "\n"))

    def all(self, name: str) -> list[str]:
        """All values of a name, each once."""
        return list(dict.fromkeys(self._values.get(name, [])))

    def get(self, name: str, default: str = "") -> str:
        """The first value of a name, trimmed."""
        return next(iter(self._values.get(name, [])), default).strip()

    def on(self, name: str) -> bool:
        """Whether a box is ticked."""
        return self.get(name) == "yes"

    def flat(self) -> dict[str, str]:
        """Each name's first value."""
        return {name: values[0].strip() for name, values in self._values.items()}


def data_of_rule(rule: Any) -> dict[str, Any]:
    """A rule's JSON form; empty where there is none."""
    if rule is None:
        return {}
    data: dict[str, Any] = rule.model_dump(mode="json", by_alias=True, exclude_none=True)
    return data


def data_of_text(text: str) -> dict[str, Any]:
    """A rule's JSON form of YAML or JSON text.

    Raises:
        InputError: it is neither, or no mapping.
    """
    if not text.strip():
        return {}
    try:
        data = load_yaml(text.replace("\t", "  "), limits.MAX_CLEAN_ROOMS_CHARS)
    except RoomError as error:
        raise InputError(str(error)) from None
    if isinstance(data, dict) and data.keys() == {"rule"}:
        data = data["rule"]
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise InputError("a rule is a mapping: `type: aggregation`, ...")
    return data


def text_of_data(data: Mapping[str, Any], *, as_json: bool = False) -> str:
    """A rule's JSON form as YAML, or as JSON."""
    if not data:
        return ""
    if as_json:
        return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    return str(
        yaml.dump(
            dict(data), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None
        )
    )


def problems_of(data: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """The rule, and what is wrong with it: one of the two. No rule where there is no data.

    Sentences name fields and quote no value.
    """
    if not data:
        return None, []
    try:
        return _RULE.validate_python(dict(data)), []
    except ValidationError as error:
        items = error.errors(include_url=False, include_input=False, include_context=False)
        # The first step of the place is which kind of rule it is.
        return None, [
            f"{'.'.join(map(str, i['loc'][1:])) or 'rule'}: "
            f"{_PLAIN.get(i['type']) or i['msg'].removeprefix('Value error, ')}"
            for i in items[:12]
        ]


def data_of_form(form: Fields, table: Table) -> dict[str, Any]:
    """A rule's JSON form of the form's fields; empty where the table is to have no rule."""
    kind = form.get("type")
    made: dict[str, Any]
    if kind == "aggregation":
        made = _aggregation(form)
    elif kind == "list":
        made = {
            "joinColumns": form.all("join"),
            "listColumns": form.all("listed"),
            "allowedJoinOperators": form.all("operator"),
        }
    elif kind == "custom":
        made = _custom(form, table)
    else:
        return {}
    optional = {"allowedJoinOperators", "dimensionColumns", "scalarFunctions", "disallowedOutputColumns"}
    optional |= {"overlapColumns", "allowedAnalysisProviders", "joinRequired", "additionalAnalyses"}
    return {"type": kind, **{k: v for k, v in made.items() if v or k not in optional}}


def _aggregation(form: Fields) -> dict[str, Any]:
    aggregates = []
    for function in AggregateFunction:
        names = [v.partition(":")[2] for v in form.all("aggregate") if v.partition(":")[0] == function.value]
        if names:
            aggregates.append({"columnNames": names, "function": function.value})
    constraints = []
    for place in range(_CONSTRAINTS):
        column, minimum = form.get(f"constraint-column-{place}"), form.get(f"constraint-minimum-{place}")
        if column and minimum:
            constraint = {"columnName": column, "minimum": _whole(minimum), "type": "COUNT_DISTINCT"}
            constraints.append(constraint)
    return {
        "aggregateColumns": aggregates,
        "joinColumns": form.all("join"),
        "joinRequired": "QUERY_RUNNER" if form.on("join-required") else None,
        "allowedJoinOperators": form.all("operator"),
        "dimensionColumns": form.all("dimension"),
        "scalarFunctions": form.all("scalar"),
        "outputConstraints": constraints,
    }


def _custom(form: Fields, table: Table) -> dict[str, Any]:
    anything = form.get("analyses", "any") == "any"
    made: dict[str, Any] = {
        "allowedAnalyses": [ANY_QUERY] if anything else form.all("template"),
        "allowedAnalysisProviders": form.all("provider") if anything else [],
        "additionalAnalyses": form.get("additional") or None,
        "disallowedOutputColumns": form.all("hidden"),
    }
    if form.on("limit-receivers"):
        made["allowedResultReceivers"] = form.all("receiver")
    privacy = form.get("privacy")
    if privacy == "noise":
        made["differentialPrivacy"] = _noise(form, table)
        return made
    if privacy == "threshold":
        made["aggregationThresholds"] = [_threshold(form, table)]
        made["overlapColumns"] = form.all("overlap")
    if form.on("controls"):
        made["comparisonControls"] = {
            "allowedLiteralComparisonColumns": form.all("literal"),
            "allowedColumnComparisonColumns": form.all("compared"),
        }
    return made


def _noise(form: Fields, table: Table) -> dict[str, Any]:
    bounds, public = [], []
    for column in table.columns:
        lower, upper = form.get(f"lower-{column.name}"), form.get(f"upper-{column.name}")
        if lower or upper:
            bound = {"columnName": column.name, "lower": _whole(lower), "upper": _whole(upper)}
            decimals = form.get(f"decimals-{column.name}")
            bounds.append({**bound, **({"decimals": _whole(decimals)} if decimals not in {"", "0"} else {})})
        lines = [line.strip() for line in form.get(f"public-{column.name}").splitlines() if line.strip()]
        if lines:
            public.append({"columnName": column.name, "values": lines})
    unit = form.get("unit-column")
    made: dict[str, Any] = {"columns": [{"name": unit}] if unit else []}
    if form.get("unit"):
        made["unit"] = form.get("unit")
    for field, name in (("maxRowsPerGroup", "rows"), ("maxGroups", "groups")):
        if form.get(name):
            made[field] = _whole(form.get(name))
    return {**made, **({"bounds": bounds} if bounds else {}), **({"publicValues": public} if public else {})}


def _threshold(form: Fields, table: Table) -> dict[str, Any]:
    own = []
    for column in table.columns:
        minimum = form.get(f"minimum-{column.name}")
        if minimum:
            own.append({"outputColumnName": column.name, "minimumIdentityCount": _whole(minimum)})
    return {
        "identityColumns": [form.get("identity")],
        "minimumIdentityCount": _whole(form.get("identity-minimum")),
        "type": "COUNT_DISTINCT",
        **({"outputColumnThresholds": own} if own else {}),
        "allowedAggregateExpressionType": form.get("expressions") or "COLUMNS_ONLY",
    }


def _whole(text: str) -> int | str:
    """A whole number; what was typed where it is none, which the rule's own check then refuses."""
    digits = text.strip().replace(",", "")
    return int(digits) if digits.removeprefix("-").isdecimal() and len(digits) < 20 else text
