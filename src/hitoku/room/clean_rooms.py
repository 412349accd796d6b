# SPDX-License-Identifier: Apache-2.0
"""Analysis rules of AWS Clean Rooms, as its API and command line write them, taken over as rules of a room.

What is read: the answer of ``get-configured-table-analysis-rule`` and ``get-schema-analysis-rule``, the
input of ``create-configured-table-analysis-rule``, a policy (``{"v1": {...}}``) or what stands in it
(``{"aggregation": {...}}``). Shapes are those of AWS's service model ``cleanrooms-2022-02-17``.

Nothing is dropped in silence: whatever has no counterpart is a `Note`, and a note says whether the rule that
was made allows more than AWS's did, less, or neither.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn

from pydantic import ValidationError

from hitoku import limits
from hitoku.errors import InputError
from hitoku.findings import findings
from hitoku.room.rules import (
    ANY_QUERY,
    AggregateFunction,
    AggregationRule,
    CustomRule,
    JoinOperator,
    ListRule,
    ScalarFunction,
)

__all__ = ["NOTES", "Note", "import_rule", "read_rule"]

Effect = Literal["less", "more", "same"]
_ANY_JOB: Final = "ANY_JOB"
_KINDS: Final[Mapping[str, type[AggregationRule | ListRule | CustomRule]]] = {
    "aggregation": AggregationRule,
    "list": ListRule,
    "custom": CustomRule,
}
_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")
_RECEIVERS: Final = "allowedResultReceivers"
_MORE_ANALYSES: Final = "allowedAdditionalAnalyses"

NOTES: Final[Mapping[str, tuple[Effect, str]]] = {
    "ABOUT": ("same", "{path} says when and for what the rule was made at AWS; a room has no place for it."),
    "CONSOLIDATED": ("same", "consolidatedPolicy was taken: it is what AWS enforces of all parts together."),
    "FUNCTION": ("less", "{path}: hitoku has no function {name}; questions with it are refused."),
    "OPERATOR": ("less", "{path}: hitoku has no join operator {name}; questions with it are refused."),
    "TEMPLATE": (
        "less",
        "{path}: no template of the room stands for {name}; put the template into the room and name it.",
    ),
    "JOBS": ("less", "{path}: ANY_JOB allows PySpark jobs; a room runs questions alone."),
    "ACCOUNT": ("less", "{path}: no member of the room stands for the account {name}; say which one it is."),
    "RECEIVERS": (
        "more",
        (
            "{path}: an aggregation or list rule cannot limit who receives; everybody with the ability "
            "`receive` may. Give that ability to these members alone: {name}."
        ),
    ),
    "ADDITIONAL": (
        "less",
        "{path}: {name}: answers under an aggregation or list rule never go on into models here.",
    ),
    "NAMED_ANALYSES": (
        "same",
        (
            "{path}: these name AWS's own models and their configurations; models of a room are agreed on in "
            "its part `models`."
        ),
    ),
    "BUDGET": (
        "same",
        (
            "{path}: differential privacy needs an account of the owner for the unit {name}: AWS keeps it in "
            "a privacy budget template, a room in its part `budgets`."
        ),
    ),
    "BOUNDS": (
        "less",
        (
            "{path}: SUM and AVG are refused until `bounds` say how much one row may count; AWS takes that "
            "from elsewhere."
        ),
    ),
    "UNKNOWN": (
        "more",
        "{path}: this field is not known and was left out. If it restricts, the rule here is looser.",
    ),
}
"""By code: what it means for what may be asked, and the sentence."""


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that could not be taken over as it stood.

    Attributes:
        code: a key of `NOTES`.
        path: where it stands in AWS's document.
        name: what it names, cleaned and cut; empty where nothing.
    """

    code: str
    path: str
    name: str = ""

    @property
    def effect(self) -> Effect:
        """Whether the rule here allows ``less`` than AWS's, ``more``, or the ``same``."""
        return NOTES[self.code][0]

    @property
    def words(self) -> str:
        """The sentence for people."""
        return NOTES[self.code][1].format(path=self.path, name=self.name)

    def to_dict(self) -> dict[str, str]:
        """JSON-ready form."""
        return {
            "code": self.code,
            "path": self.path,
            "name": self.name,
            "effect": self.effect,
            "words": self.words,
        }


Imported = tuple[AggregationRule | ListRule | CustomRule, tuple[Note, ...]]


def read_rule(
    text: str, *, members: Mapping[str, str] | None = None, templates: Mapping[str, str] | None = None
) -> Imported:
    """Take over a rule from JSON text. Arguments, result and errors are those of `import_rule`.

    Raises:
        InputError: also where it is too large, no JSON, too deep, or has a name twice.
    """
    if len(text) > limits.MAX_CLEAN_ROOMS_CHARS:
        raise InputError(f"the rule is larger than {limits.MAX_CLEAN_ROOMS_CHARS:,} characters")
    try:
        data = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise InputError("the rule is not valid JSON") from None
    return import_rule(data, members=members, templates=templates)


def import_rule(
    data: Any, *, members: Mapping[str, str] | None = None, templates: Mapping[str, str] | None = None
) -> Imported:
    """Take over a rule of AWS Clean Rooms.

    Args:
        data: AWS's document.
        members: members of the room by AWS account.
        templates: hashes of the room's templates (``sha256:...``) by ARN or name at AWS.

    Returns:
        The rule, and what could not be taken over as it stood.

    Raises:
        InputError: it is no such document, or of a kind that has no counterpart; names the place, quotes no
            value of it.
    """
    notes: list[Note] = []
    policy, path = _policy(data, notes)
    kind, content, path = _kind(policy, path)
    made = _Reader(notes, members or {}, templates or {}).rule(kind, dict(content), path)
    try:
        return _KINDS[kind].model_validate({**made, "type": kind}), tuple(notes)
    except ValidationError as error:
        raise InputError(findings(error, path, (path,))) from None


# --- finding the rule in the document ---

_ABOUT: Final = frozenset(
    {
        "configuredTableId", "configuredTableArn", "configuredTableIdentifier", "collaborationId",
        "collaborationIdentifier", "membershipIdentifier", "membershipId", "name", "createTime", "updateTime",
        "type", "analysisRuleType", "ResponseMetadata",
    }
)  # fmt: skip


def _policy(data: Any, notes: list[Note]) -> tuple[dict[str, Any], str]:
    """What stands under ``v1``, and its path."""
    found, path = _mapping(data, "document"), ""
    if "analysisRules" in found:
        rules = found["analysisRules"]
        if not isinstance(rules, list) or len(rules) != 1:
            raise InputError("analysisRules: one rule at a time")
        _beside(found, {"analysisRules", "errors"}, path, notes)
        found, path = _mapping(rules[0], "analysisRules.0"), "analysisRules.0."
    elif "analysisRule" in found:
        _beside(found, {"analysisRule"}, path, notes)
        found, path = _mapping(found["analysisRule"], "analysisRule"), "analysisRule."
    if "consolidatedPolicy" in found:
        notes.append(Note("CONSOLIDATED", f"{path}consolidatedPolicy"))
        _beside(found, {"consolidatedPolicy", "policy", "collaborationPolicy"}, path, notes)
        return _v1(found["consolidatedPolicy"], f"{path}consolidatedPolicy", notes)
    for field in ("policy", "analysisRulePolicy"):
        if field in found:
            _beside(found, {field, "collaborationPolicy"}, path, notes)
            policy, inner = _v1(found[field], f"{path}{field}", notes)
            if "collaborationPolicy" in found:
                also, _ = _v1(found["collaborationPolicy"], f"{path}collaborationPolicy", notes)
                policy = _joined(policy, also, f"{path}collaborationPolicy")
            return policy, inner
    if "v1" in found:
        return _v1(found, path.rstrip("."), notes)
    return found, path.rstrip(".")


def _v1(data: Any, path: str, notes: list[Note]) -> tuple[dict[str, Any], str]:
    policy = _mapping(data, path or "policy")
    if "v1" not in policy:
        raise InputError(f"{path or 'policy'}: only policies of the form v1 are known")
    _beside(policy, {"v1"}, f"{path}." if path else "", notes)
    inner = f"{path}.v1" if path else "v1"
    return _mapping(policy["v1"], inner), inner


def _joined(policy: dict[str, Any], also: dict[str, Any], path: str) -> dict[str, Any]:
    """A table's rule with what its association to the collaboration adds."""
    kind, content, _ = _kind(policy, "policy")
    other, more, _ = _kind(also, path)
    if other != kind or more.keys() & content.keys():
        raise InputError(f"{path}: does not belong to this rule")
    return {kind: {**content, **more}}


def _kind(policy: dict[str, Any], path: str) -> tuple[str, dict[str, Any], str]:
    if "idMappingTable" in policy:
        raise InputError(
            f"{path}.idMappingTable: a room has no ID mapping tables; people are matched by fingerprint "
            "columns, or by the identifiers of `crosstab`".lstrip(".")
        )
    kinds = [kind for kind in _KINDS if policy.get(kind) is not None]
    if len(kinds) != 1 or len(policy) != 1:
        raise InputError(
            f"{path or 'document'}: one of aggregation, list and custom is expected, and nothing else: is "
            "this an analysis rule of AWS Clean Rooms?"
        )
    inner = f"{path}.{kinds[0]}" if path else kinds[0]
    return kinds[0], _mapping(policy[kinds[0]], inner), inner


def _beside(found: dict[str, Any], known: set[str], path: str, notes: list[Note]) -> None:
    """Note what stands beside the rule."""
    for field in found.keys() - known:
        name = _shown(field)
        notes.append(Note("ABOUT" if field in _ABOUT else "UNKNOWN", f"{path}{name}"))


# --- reading the rule ---

_FIELDS: Final = {
    kind: frozenset(f.alias or n for n, f in m.model_fields.items()) for kind, m in _KINDS.items()
}


class _Reader:
    """Reads the content of one rule; what it cannot take over goes into `notes`."""

    def __init__(self, notes: list[Note], members: Mapping[str, str], templates: Mapping[str, str]) -> None:
        self._notes = notes
        self._members = members
        self._templates = templates

    def rule(self, kind: str, content: dict[str, Any], path: str) -> dict[str, Any]:
        """The fields of the rule, not yet checked."""
        if content.pop(_MORE_ANALYSES, None):
            self._notes.append(Note("NAMED_ANALYSES", f"{path}.{_MORE_ANALYSES}"))
        for field in sorted(content.keys() - _FIELDS[kind] - {_RECEIVERS, "additionalAnalyses"}):
            del content[field]
            self._notes.append(Note("UNKNOWN", f"{path}.{_shown(field)}"))
        # AWS's tools write absent fields as null.
        content = {field: value for field, value in content.items() if value is not None}
        if kind == "custom":
            return self._custom(content, path)
        self._only_aws(content, path)
        self._keep(content, "allowedJoinOperators", JoinOperator, "OPERATOR", path)
        if kind == "aggregation":
            self._keep(content, "scalarFunctions", ScalarFunction, "FUNCTION", path)
            self._aggregates(content, path)
        return content

    def _only_aws(self, content: dict[str, Any], path: str) -> None:
        receivers = content.pop(_RECEIVERS, None)
        if receivers:
            names = [self._members.get(str(r), str(r)) for r in _list(receivers, f"{path}.{_RECEIVERS}")]
            self._notes.append(Note("RECEIVERS", f"{path}.{_RECEIVERS}", _shown(", ".join(names))))
        more = content.pop("additionalAnalyses", None)
        if more is not None and more != "NOT_ALLOWED":
            self._notes.append(Note("ADDITIONAL", f"{path}.additionalAnalyses", _shown(more)))

    def _keep(
        self,
        content: dict[str, Any],
        field: str,
        known: type[JoinOperator | ScalarFunction],
        code: str,
        path: str,
    ) -> None:
        if field in content:
            names = frozenset(str(one) for one in known)
            content[field] = self._each(
                content[field], f"{path}.{field}", lambda v: v if v in names else None, code
            )

    def _aggregates(self, content: dict[str, Any], path: str) -> None:
        known = frozenset(str(one) for one in AggregateFunction)
        kept = []
        for place, one in enumerate(_list(content.get("aggregateColumns", []), f"{path}.aggregateColumns")):
            where = f"{path}.aggregateColumns.{place}"
            function = _mapping(one, where).get("function")
            if isinstance(function, str) and function not in known:
                self._notes.append(Note("FUNCTION", where, _shown(function)))
            else:
                kept.append(one)
        content["aggregateColumns"] = kept

    def _custom(self, content: dict[str, Any], path: str) -> dict[str, Any]:
        analyses = _list(content.get("allowedAnalyses", []), f"{path}.allowedAnalyses")
        if _ANY_JOB in analyses:
            self._notes.append(Note("JOBS", f"{path}.allowedAnalyses"))
            analyses = [one for one in analyses if one != _ANY_JOB]
        allowed = self._each(analyses, f"{path}.allowedAnalyses", self._template, "TEMPLATE")
        # Where any question may be asked, every template may; a room wants that said once.
        content["allowedAnalyses"] = [ANY_QUERY] if ANY_QUERY in allowed else list(dict.fromkeys(allowed))
        if not content["allowedAnalyses"]:
            raise InputError(
                f"{path}.allowedAnalyses: nothing of it is in the room, so the rule would allow nothing: put "
                "the templates into the room first, and say which is which"
            )
        for field in ("allowedAnalysisProviders", _RECEIVERS):
            if field in content:
                content[field] = list(
                    dict.fromkeys(self._each(content[field], f"{path}.{field}", self._members.get, "ACCOUNT"))
                )
        privacy = content.get("differentialPrivacy")
        if privacy is not None:
            self._privacy(_mapping(privacy, f"{path}.differentialPrivacy"), f"{path}.differentialPrivacy")
        return content

    def _template(self, name: str) -> str | None:
        if name == ANY_QUERY or _HASH.fullmatch(name):
            return name
        return self._templates.get(name) or self._templates.get(name.rpartition("/")[2])

    def _privacy(self, privacy: dict[str, Any], path: str) -> None:
        columns = privacy.get("columns")
        if isinstance(columns, list) and columns and isinstance(columns[0], dict):
            self._notes.append(Note("BUDGET", path, _shown(columns[0].get("name", ""))))
        if not privacy.get("bounds"):
            self._notes.append(Note("BOUNDS", path))

    def _each(self, values: Any, path: str, taken: Callable[[str], str | None], code: str) -> list[str]:
        """The values that are taken over; a note for every other one."""
        kept = []
        for place, value in enumerate(_list(values, path)):
            if not isinstance(value, str):
                raise InputError(f"{path}.{place}: text is expected")
            found = taken(value)
            if found is None:
                self._notes.append(Note(code, f"{path}.{place}", _shown(value)))
            else:
                kept.append(found)
        return kept


# --- small things ---


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands twice")
    return made


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _mapping(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InputError(f"{path}: a JSON object is expected")
    return value


def _list(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list | tuple) or len(value) > limits.MAX_TABLE_COLUMNS:
        raise InputError(f"{path}: a list of at most {limits.MAX_TABLE_COLUMNS:,} is expected")
    return list(value)


def _shown(value: Any) -> str:
    """A name of the document as one short line."""
    text = "".join(c if c.isprintable() else " " for c in str(value))
    return text if len(text) <= 200 else f"{text[:197]}..."
