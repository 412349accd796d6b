# SPDX-License-Identifier: Apache-2.0
"""Rules of AWS Clean Rooms in the shapes of its service model, taken over with everything accounted for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitoku import limits
from hitoku.errors import HitokuError, InputError
from hitoku.room.clean_rooms import NOTES, import_rule, read_rule
from hitoku.room.rules import AggregationRule, CustomRule, ListRule

AGGREGATION: dict[str, Any] = {
    "aggregateColumns": [
        {"columnNames": ["hashed_email"], "function": "COUNT_DISTINCT"},
        {"columnNames": ["Purchases"], "function": "SUM"},
    ],
    "joinColumns": ["hashed_email"],
    "joinRequired": "QUERY_RUNNER",
    "dimensionColumns": ["segment"],
    "scalarFunctions": ["TRUNC", "COALESCE"],
    "outputConstraints": [{"columnName": "hashed_email", "minimum": 100, "type": "COUNT_DISTINCT"}],
}
TEMPLATE = "arn:aws:cleanrooms:us-east-1:111122223333:membership/ab/analysistemplate/weekly"
HASH = "sha256:" + "a" * 64
DIFFERENTIAL = {
    "allowedAnalyses": ["ANY_QUERY"],
    "allowedAnalysisProviders": ["111122223333"],
    "differentialPrivacy": {"columns": [{"name": "user_id"}]},
}


def configured(kind: str, content: Any, **beside: Any) -> dict[str, Any]:
    """As `aws cleanrooms get-configured-table-analysis-rule` prints it."""
    return {
        "analysisRule": {
            "configuredTableId": "8c2c1b0e-0000-4000-8000-000000000000",
            "configuredTableArn": "arn:aws:cleanrooms:us-east-1:111122223333:configuredtable/8c2c",
            "policy": {"v1": {kind: content}},
            "type": kind.upper(),
            "createTime": "2026-01-05T10:00:00+00:00",
            "updateTime": "2026-01-05T10:00:00+00:00",
            **beside,
        }
    }


def codes(notes: Any) -> list[str]:
    return [note.code for note in notes]


def test_the_shapes_that_aws_writes_give_one_rule() -> None:
    whole = configured("aggregation", AGGREGATION)
    written = {
        "configuredTableIdentifier": "8c2c",
        "analysisRuleType": "AGGREGATION",
        "analysisRulePolicy": {"v1": {"aggregation": AGGREGATION}},
    }
    forms = [
        whole,
        whole["analysisRule"],
        written,
        {"v1": {"aggregation": AGGREGATION}},
        {"aggregation": AGGREGATION},
    ]
    made = [import_rule(form)[0] for form in forms]
    assert all(rule == made[0] for rule in made)
    rule = made[0]
    assert isinstance(rule, AggregationRule)
    assert rule.output_constraints[0].minimum == 100
    assert rule.aggregate_columns[1].column_names == ("purchases",)
    assert rule.join_required == "QUERY_RUNNER"


def test_what_stands_around_the_rule_is_told() -> None:
    _, notes = import_rule(configured("aggregation", AGGREGATION, tags={"a": "b"}))
    assert sorted(note.path for note in notes if note.code == "ABOUT") == [
        "analysisRule.configuredTableArn",
        "analysisRule.configuredTableId",
        "analysisRule.createTime",
        "analysisRule.type",
        "analysisRule.updateTime",
    ]
    assert [note.path for note in notes if note.code == "UNKNOWN"] == ["analysisRule.tags"]


def test_a_list_rule_with_receivers_says_that_it_is_looser() -> None:
    content = {
        "joinColumns": ["hashed_email"],
        "listColumns": ["segment"],
        "additionalAnalyses": "ALLOWED",
        "allowedResultReceivers": ["444455556666"],
        "allowedAdditionalAnalyses": ["arn:aws:cleanrooms-ml:us-east-1:1:configured-model/x"],
    }
    rule, notes = import_rule({"list": content}, members={"444455556666": "partner"})
    assert isinstance(rule, ListRule)
    found = {note.code: note for note in notes}
    assert found.keys() == {"RECEIVERS", "ADDITIONAL", "NAMED_ANALYSES"}
    assert (found["RECEIVERS"].effect, found["RECEIVERS"].name) == ("more", "partner")
    assert found["ADDITIONAL"].effect == "less"


def test_functions_that_are_not_here_are_dropped_and_told() -> None:
    content = {
        **AGGREGATION,
        "scalarFunctions": ["TRUNC", "SOUNDEX"],
        "allowedJoinOperators": ["OR", "XOR"],
        "aggregateColumns": [*AGGREGATION["aggregateColumns"], {"columnNames": ["x"], "function": "MEDIAN"}],
    }
    rule, notes = import_rule({"aggregation": content})
    assert isinstance(rule, AggregationRule)
    assert [f.value for f in rule.scalar_functions] == ["TRUNC"]
    assert len(rule.aggregate_columns) == 2
    assert sorted((note.code, note.name) for note in notes) == [
        ("FUNCTION", "MEDIAN"),
        ("FUNCTION", "SOUNDEX"),
        ("OPERATOR", "XOR"),
    ]
    assert all(note.effect == "less" for note in notes)


def test_a_custom_rule_with_templates_and_accounts() -> None:
    content = {
        "allowedAnalyses": [TEMPLATE, TEMPLATE.replace("weekly", "daily"), "ANY_JOB"],
        "allowedAnalysisProviders": [],
        "disallowedOutputColumns": ["Email"],
        "allowedResultReceivers": ["111122223333", "999999999999"],
        "additionalAnalyses": "NOT_ALLOWED",
    }
    rule, notes = import_rule(
        {"custom": content}, members={"111122223333": "retailer"}, templates={"weekly": HASH}
    )
    assert isinstance(rule, CustomRule)
    assert rule.allowed_analyses == (HASH,)
    assert rule.allowed_result_receivers == ("retailer",)
    assert rule.disallowed_output_columns == ("email",)
    assert codes(notes) == ["JOBS", "TEMPLATE", "ACCOUNT"]
    assert all(note.effect == "less" for note in notes)


def test_thresholds_and_comparison_controls() -> None:
    content = {
        "allowedAnalyses": ["ANY_QUERY"],
        "allowedAnalysisProviders": ["111122223333"],
        "aggregationThresholds": [
            {
                "identityColumns": ["user_id"],
                "minimumIdentityCount": 25,
                "type": "COUNT_DISTINCT",
                "outputColumnThresholds": [{"outputColumnName": "city", "minimumIdentityCount": 100}],
                "allowedAggregateExpressionType": "ANY_EXPRESSION",
            }
        ],
        "comparisonControls": {
            "allowedLiteralComparisonColumns": ["city"],
            "allowedColumnComparisonColumns": ["user_id"],
        },
    }
    rule, notes = import_rule({"custom": content}, members={"111122223333": "retailer"})
    assert isinstance(rule, CustomRule)
    assert not notes
    assert rule.aggregation_thresholds[0].output_column_thresholds[0].minimum_identity_count == 100
    assert rule.comparison_controls is not None


def test_differential_privacy_says_what_a_room_needs_besides() -> None:
    rule, notes = import_rule({"custom": DIFFERENTIAL}, members={"111122223333": "retailer"})
    assert isinstance(rule, CustomRule)
    assert rule.differential_privacy is not None
    assert rule.differential_privacy.account == "user_id"
    assert [(note.code, note.name) for note in notes] == [("BUDGET", "user_id"), ("BOUNDS", "")]


def test_the_policy_that_aws_enforces_is_taken() -> None:
    stricter = {**AGGREGATION, "allowedResultReceivers": ["111122223333"]}
    document = configured("aggregation", AGGREGATION, consolidatedPolicy={"v1": {"aggregation": stricter}})
    _, notes = import_rule(document)
    assert {"CONSOLIDATED", "RECEIVERS"} <= set(codes(notes))


def test_the_associations_part_is_joined_in() -> None:
    document = configured(
        "custom",
        {"allowedAnalyses": ["ANY_QUERY"], "allowedAnalysisProviders": ["1"]},
        collaborationPolicy={"v1": {"custom": {"allowedResultReceivers": ["1"]}}},
    )
    rule, _ = import_rule(document, members={"1": "retailer"})
    assert isinstance(rule, CustomRule)
    assert rule.allowed_result_receivers == ("retailer",)


def test_an_unknown_restriction_is_told_as_looser() -> None:
    _, notes = import_rule({"aggregation": {**AGGREGATION, "rowLevelSecurity": ["x"]}})
    assert [(note.code, note.effect, note.path) for note in notes] == [
        ("UNKNOWN", "more", "aggregation.rowLevelSecurity")
    ]


@pytest.mark.parametrize(
    "document",
    [
        {"idMappingTable": {"joinColumns": ["a"], "queryConstraints": []}},
        {"aggregation": AGGREGATION, "list": {}},
        {"v2": {"aggregation": AGGREGATION}},
        {"custom": {"allowedAnalyses": [TEMPLATE]}},
        {"custom": {"allowedAnalyses": ["ANY_JOB"]}},
        {"aggregation": {**AGGREGATION, "outputConstraints": []}},
        {"aggregation": {**AGGREGATION, "joinColumns": "hashed_email"}},
        {"aggregation": {**AGGREGATION, "outputConstraints": [{"columnName": "a", "minimum": 1}]}},
        {"analysisRules": [{"policy": {"v1": {"list": {}}}}, {}]},
        [],
        "text",
        None,
    ],
    ids=lambda _: "document",
)
def test_what_is_no_rule_is_refused_in_words(document: Any) -> None:
    with pytest.raises(InputError) as caught:
        import_rule(document)
    assert str(caught.value)


def test_values_are_not_quoted() -> None:
    secret = "4711-secret"
    document = {"aggregation": {**AGGREGATION, "outputConstraints": [{"columnName": "a", "minimum": secret}]}}
    with pytest.raises(InputError) as caught:
        import_rule(document)
    assert secret not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"aggregation": NaN}',
        '{"a": 1, "a": 2}',
        "[" * 100_000,
        " " * (limits.MAX_CLEAN_ROOMS_CHARS + 1),
    ],
    ids=["empty", "cut", "nan", "twice", "deep", "large"],
)
def test_text_is_bounded_and_strict(text: str) -> None:
    with pytest.raises(InputError):
        read_rule(text)


def test_names_in_notes_are_one_short_line() -> None:
    _, notes = import_rule({"aggregation": {**AGGREGATION, "x\n\x1b[31m" + "y" * 500: 1}})
    assert notes[0].path.isprintable()
    assert len(notes[0].path) < 230


def test_every_note_has_its_words() -> None:
    from hitoku.console.words import catalogue

    assert {f"rules.note_{code}" for code in NOTES} == {k for k in catalogue() if k.startswith("rules.note_")}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


_FIELDS = [
    *("aggregateColumns", "joinColumns", "outputConstraints", "listColumns", "allowedAnalyses"),
    *("differentialPrivacy", "aggregationThresholds", "allowedResultReceivers", "additionalAnalyses"),
    "other",
]


@given(
    st.sampled_from(["aggregation", "list", "custom"]),
    st.dictionaries(st.sampled_from(_FIELDS), _JSON, max_size=5),
)
def test_any_document_gives_a_rule_or_one_of_our_errors(kind: str, content: dict[str, Any]) -> None:
    try:
        rule, _ = read_rule(json.dumps({"v1": {kind: content}}))
    except HitokuError:
        return
    assert rule.type == kind
