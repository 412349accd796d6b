# SPDX-License-Identifier: Apache-2.0
"""The API does what its description says, whatever it is sent: no 500, nothing undocumented, no way round."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks
from tests.conftest import QUESTION

import hitoku
from hitoku.console.api.description import PREFIX, document

FILE = Path(__file__).parents[3] / "docs/schemas/console-1.openapi.json"
DOCUMENT = document()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
    checks.missing_required_header,
    checks.ignored_auth,
]
"""Not `positive_data_acceptance`: most texts are no question that the rules allow. Not `unsupported_method`,
which sends bodies with GET: those are refused as bodies. Not `negative_data_rejection`: `call` puts a real
room in the place of a wrong one; `test_wrong_bodies_and_numbers_are_refused` looks at the rest."""


def bounded(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


# The world outlives a module's fixtures where tests are spread over processes: each time another user.
_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def asked(world):
    """An ask that is done."""
    with hitoku.connect(world.url, world.token(f"asks{next(_NUMBERS)}")) as connection:
        connection.room().ask(QUESTION)
        return connection._door.get(f"rooms/{world.room}/asks")["asks"][0]["id"]


@pytest.fixture(scope="module")
def tester(world):
    return world.token(f"tester{next(_NUMBERS)}")


def call(case, world, token, asked):
    """Send one request that was made up; half of them to a room and an ask that are there."""
    parameters = case.path_parameters or {}
    if sum(map(ord, json.dumps(parameters, default=str))) % 2 or "room" not in parameters:
        for name, value in (("room", world.room), ("ask", asked), ("model", "none")):
            if name in parameters and isinstance(parameters[name], str):
                parameters[name] = value
    headers = {"Authorization": f"Bearer {token}"}
    case.call_and_validate(base_url=world.url, headers=headers, checks=CHECKS, timeout=300)


@SCHEMA.parametrize()
@bounded(1)
def test_whatever_is_sent(case, world, tester, asked):
    call(case, world, tester, asked)


@pytest.mark.slow
@SCHEMA.parametrize()
@bounded(40)
def test_whatever_is_sent_for_long(case, world, tester, asked):
    call(case, world, tester, asked)


def test_the_file_is_up_to_date():
    said = json.loads(FILE.read_text("utf-8"))
    assert said == DOCUMENT, "run `hitoku node openapi > docs/schemas/console-1.openapi.json`"


def test_the_node_serves_the_same(world):
    served = httpx.get(f"{world.url}{PREFIX}/openapi.json", trust_env=False, timeout=300).json()
    assert served == DOCUMENT


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "explain", {"sql": QUESTION, "more": 1}),
        ("POST", "explain", {"sql": ""}),
        ("POST", "explain", {"sql": 7}),
        ("POST", "explain", {"sql": "x" * 100_001}),
        ("POST", "explain", []),
        ("POST", "preview", {"sql": QUESTION, "users_noise": 1}),
        ("POST", "preview", {"sql": QUESTION, "epsilon": "-1"}),
        ("POST", "asks", {"sql": QUESTION, "epsilon": "1e9"}),
        ("POST", "asks", {"sql": QUESTION, "receivers": ["x"] * 100}),
        ("POST", "asks", {"sql": QUESTION, "receivers": "airport"}),
        ("POST", "models/none/predictions", {"rows": []}),
        ("GET", "ledger?limit=0", None),
        ("GET", "ledger?limit=100000", None),
        ("GET", "ledger?after=-2", None),
        ("GET", "ledger/-1/proof", None),
        ("GET", "ledger/x/proof", None),
        ("GET", "asks?page=-1", None),
        ("GET", "asks/short", None),
    ],
)
def test_wrong_bodies_and_numbers_are_refused(world, tester, method, path, body):
    headers = {"Authorization": f"Bearer {tester}"}
    where = f"{world.url}{PREFIX}/rooms/{world.room}/{path}"
    answer = httpx.request(method, where, json=body, headers=headers, trust_env=False, timeout=300)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["error"], error["code"]) == ("InputError", "INVALID")
    assert error["fields"]
    assert QUESTION not in answer.text


def test_other_methods_are_refused_with_those_that_are_allowed(world, tester):
    headers = {"Authorization": f"Bearer {tester}"}
    with httpx.Client(base_url=world.url, headers=headers, trust_env=False, timeout=300) as client:
        for path, methods in DOCUMENT["paths"].items():
            where = path.format(room=world.room, ask="0" * 32, seq=0, model="none")
            for method in {"GET", "POST", "DELETE"} - {m.upper() for m in methods}:
                answer = client.request(method, where)
                assert answer.status_code == 405
                assert answer.headers["allow"]
                assert answer.json()["error"]["code"] == "METHOD_NOT_ALLOWED"


def operations():
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


@pytest.mark.parametrize("operation", [pytest.param(o, id=name) for name, o in operations()])
def test_every_operation_is_described(operation):
    assert operation["security"] == [{"token": []}]
    assert operation["summary"]
    assert operation["description"]
    assert {"401", "403", "422", "429", "500"} <= set(operation["responses"])
    for status, response in operation["responses"].items():
        if int(status) >= 400:
            assert response["content"]["application/json"]["schema"] == {
                "$ref": "#/components/schemas/ErrorBody"
            }
    for parameter in operation.get("parameters", []):
        assert parameter["description"], parameter["name"]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if body:
        made = DOCUMENT["components"]["schemas"][body["$ref"].rpartition("/")[2]]
        assert "examples" in json.dumps(made)
