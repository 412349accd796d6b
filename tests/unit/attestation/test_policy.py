# SPDX-License-Identifier: Apache-2.0
"""The policy language: form, truth, and that nothing but true allows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitoku import limits
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.policy import FORMAT, Policy
from hitoku.errors import InputError

FACTS: dict[str, str | int | bool] = {"kind": "sev-snp", "tcb.snp": 20, "smt": True, "zero": 0, "off": False}


def content(allow: Any, **more: Any) -> bytes:
    return json.dumps({"format": FORMAT, "allow": allow, **more}).encode()


def truth(allow: Any) -> bool | None:
    return Policy.from_json(content(allow)).explain(FACTS).truth


T, F, U = {"equals": ["kind", "sev-snp"]}, {"equals": ["kind", "tdx"]}, {"equals": ["nothing", 1]}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (T, True),
        (F, False),
        (U, None),
        ({"equals": ["smt", True]}, True),
        ({"equals": ["smt", 1]}, None),  # true is no number
        ({"equals": ["tcb.snp", 20]}, True),
        ({"equals": ["tcb.snp", "20"]}, None),
        ({"equals": ["zero", False]}, None),
        ({"equals": ["off", 0]}, None),
        ({"in": ["kind", ["tdx", "sev-snp"]]}, True),
        ({"in": ["kind", ["tdx", "sgx"]]}, False),
        ({"in": ["kind", [1, 2]]}, None),
        ({"in": ["kind", ["tdx", 1]]}, False),
        ({"in": ["nothing", ["tdx"]]}, None),
        ({"gte": ["tcb.snp", 20]}, True),
        ({"gte": ["tcb.snp", 21]}, False),
        ({"gte": ["zero", 0]}, True),
        ({"gte": ["kind", 0]}, None),
        ({"gte": ["smt", 0]}, None),
        ({"gte": ["nothing", 0]}, None),
        ({"exists": "kind"}, True),
        ({"exists": "off"}, True),
        ({"exists": "nothing"}, False),
        ({"not": T}, False),
        ({"not": F}, True),
        ({"not": U}, None),
        ({"not": {"not": U}}, None),
        ({"not": {"exists": "nothing"}}, True),
        ({"allOf": [T, T]}, True),
        ({"allOf": [T, F]}, False),
        ({"allOf": [T, U]}, None),
        ({"allOf": [U, F]}, False),
        ({"anyOf": [F, T]}, True),
        ({"anyOf": [U, T]}, True),
        ({"anyOf": [F, U]}, None),
        ({"anyOf": [F, F]}, False),
    ],
)
def test_truth(expression, expected):
    assert truth(expression) is expected
    policy = Policy.from_json(content(expression))
    if expected is True:
        policy.check(FACTS)
    else:
        with pytest.raises(Refused) as caught:
            policy.check(FACTS)
        assert caught.value.code is Code.POLICY


def test_a_condition_against_a_bad_value_refuses_who_leaves_the_claim_out():
    policy = Policy.from_json(content({"not": {"equals": ["debug", True]}}))
    policy.check({"debug": False})
    for facts in ({}, {"debug": True}, {"debug": "false"}):
        with pytest.raises(Refused, match="debug is true"):
            policy.check(facts)


def test_without_a_policy_nothing_is_added():
    Policy().check({})
    assert Policy().explain({}).truth is True


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "not JSON"),
        (b"[]", "an object of `format`"),
        (b"{}", "an object of `format`"),
        (content(T, more=1), "an object of `format`"),
        (json.dumps({"format": "other/1", "allow": T}).encode(), "an object of `format`"),
        (content(None), "one operator"),
        (content({}), "one operator"),
        (content({"exists": "a", "not": T}), "one operator"),
        (content({"xor": [T, T]}), "operators are"),
        (content({"allOf": []}), r"allow.allOf: a list of at least one"),
        (content({"anyOf": []}), "at least one"),
        (content({"allOf": T}), "at least one"),
        (content({"anyOf": [T, {"not": []}]}), r"allow.anyOf\[1\].not: an expression"),
        (content({"exists": ""}), "a claim's name"),
        (content({"exists": 1}), "a claim's name"),
        (content({"equals": ["kind"]}), "compared with"),
        (content({"equals": ["kind", None]}), "a text, a whole number or a truth"),
        (content({"equals": ["kind", []]}), "a text, a whole number or a truth"),
        (content({"equals": ["kind\n", "a"]}), "a claim's name"),
        (content({"in": ["kind", []]}), "a list of texts"),
        (content({"in": ["kind", "tdx"]}), "a list of texts"),
        (content({"in": ["kind", [[]]]}), "a list of texts"),
        (content({"gte": ["kind", True]}), "a whole number"),
        (content({"gte": ["kind", "3"]}), "a whole number"),
        (content({"gte": ["kind", 1.5]}), "numbers are whole"),
        (content({"gte": ["kind", 2**53]}), "a whole number"),
        (content({"equals": ["kind", -(2**53)]}), "a whole number"),
        (content({"equals": ["kind", "\ud800"]}), "a text"),
        (b'{"format": "%s", "allow": {"gte": ["a", NaN]}}' % FORMAT.encode(), "numbers are whole"),
        (
            b'{"format": "%s", "allow": {"exists": "a"}, "allow": {"exists": "b"}}' % FORMAT.encode(),
            "twice in one object",
        ),
        (b'{"format": "%s", "allow": {"not": {"exists": "a"' % FORMAT.encode(), "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON|larger"),
        (b" " * (limits.MAX_POLICY_BYTES + 1), "larger than"),
    ],
)
def test_what_is_no_policy(text, words):
    with pytest.raises(InputError, match=words):
        Policy.from_json(text, "here")


def test_size_and_depth_are_bounded():
    deep: Any = T
    for _ in range(limits.MAX_POLICY_DEPTH):
        deep = {"not": deep}
    assert truth(deep) is True
    with pytest.raises(InputError, match="deeper than 16"):
        Policy.from_json(content({"not": deep}))
    for operator in ("allOf", "anyOf"):
        nested: Any = T
        for _ in range(limits.MAX_POLICY_DEPTH):
            nested = {operator: [nested]}
        assert truth(nested) is True
        with pytest.raises(InputError, match="deeper than 16"):
            Policy.from_json(content({operator: [nested]}))
    wide = {"allOf": [T] * (limits.MAX_POLICY_NODES - 1)}
    assert truth(wide) is True
    with pytest.raises(InputError, match="more than 1000"):
        Policy.from_json(content({"allOf": [T] * limits.MAX_POLICY_NODES}))
    with pytest.raises(InputError, match="more than 1000"):
        Policy.from_json(
            content({"allOf": [{"in": ["kind", ["x"] * 600]}, {"in": ["kind", ["x"] * 600]}, T]})
        )


def test_the_refusal_names_the_condition_to_blame():
    allow = {"allOf": [T, {"anyOf": [F, U]}, {"not": {"equals": ["kind", "sev-snp"]}}]}
    with pytest.raises(Refused, match=r"any of 2 parts is unknown"):
        Policy.from_json(content(allow)).check(FACTS)
    with pytest.raises(Refused, match=r'not \(kind is "sev-snp" is true\)'):
        Policy.from_json(content({"allOf": [T, {"not": T}]})).check(FACTS)
    with pytest.raises(Refused, match=r"tcb\.snp is at least 21 is false"):
        Policy.from_json(content({"allOf": [T, {"gte": ["tcb.snp", 21]}]})).check(FACTS)


def test_explaining_shows_every_part():
    step = Policy.from_json(content({"allOf": [T, {"not": U}]})).explain(FACTS).to_dict()
    assert step["truth"] is None
    assert [part["truth"] for part in step["parts"]] == [True, None]
    assert step["parts"][0]["words"] == 'kind is "sev-snp"'
    assert step["parts"][1]["parts"][0]["words"] == "nothing is 1"
    assert Policy({"equals": ["kind", "秘匿"]}).explain({}).words == 'kind is "秘匿"'
    long = Policy({"equals": ["kind", "x" * 500]}).explain({}).words
    assert (len(long) < 140, long.endswith("…")) == (True, True)


def test_files(tmp_path):
    path = tmp_path / "policy.json"
    assert Policy.open(path) == Policy()
    path.write_bytes(content(T))
    assert Policy.open(path).allow == T
    path.write_bytes(b"{")
    with pytest.raises(InputError, match=r"policy\.json"):
        Policy.open(path)
    path.write_bytes(b" " * (limits.MAX_POLICY_BYTES + 1))
    with pytest.raises(InputError, match="larger than"):
        Policy.open(path)
    with pytest.raises(InputError, match="cannot be read"):
        Policy.open(tmp_path)


def test_the_digest_is_of_the_meaning():
    one = Policy.from_json(content({"allOf": [T, F]}))
    same = Policy.from_json(json.dumps({"allow": {"allOf": [T, F]}, "format": FORMAT}, indent=3).encode())
    assert one.digest == same.digest
    assert one.digest != Policy.from_json(content({"allOf": [F, T]})).digest
    assert one.digest != Policy().digest


_NAMES = st.sampled_from(["kind", "tcb.snp", "smt", "zero", "nothing"])
_VALUES = st.one_of(st.booleans(), st.integers(-3, 30), st.sampled_from(["sev-snp", "tdx", ""]))
_LEAVES = st.one_of(
    st.builds(lambda n, v: {"equals": [n, v]}, _NAMES, _VALUES),
    st.builds(lambda n, v: {"in": [n, v]}, _NAMES, st.lists(_VALUES, min_size=1, max_size=4)),
    st.builds(lambda n, v: {"gte": [n, v]}, _NAMES, st.integers(-3, 30)),
    st.builds(lambda n: {"exists": n}, _NAMES),
)
_EXPRESSIONS = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda e: {"not": e}, inner),
        st.builds(
            lambda o, es: {o: es},
            st.sampled_from(["allOf", "anyOf"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
    ),
    max_leaves=12,
)


@given(_EXPRESSIONS, _EXPRESSIONS)
def test_the_logic_is_total_and_keeps_its_laws(one, two):
    def opposite(value: bool | None) -> bool | None:
        return None if value is None else not value

    assert truth({"not": one}) is opposite(truth(one))
    both = truth({"allOf": [one, two]})
    assert both is truth({"allOf": [two, one]})
    assert truth({"not": {"anyOf": [{"not": one}, {"not": two}]}}) is both  # De Morgan
    assert truth({"allOf": [one, one]}) is truth(one)
    assert (both is True) == (truth(one) is True and truth(two) is True)


@given(_EXPRESSIONS)
def test_to_leave_claims_out_never_turns_a_refusal_without_exists_into_more_than_it_says(expression):
    """Where no part asks whether a claim exists, evidence without any claim is never allowed."""
    if "exists" not in json.dumps(expression):
        assert Policy.from_json(content(expression)).explain({}).truth is None
