# SPDX-License-Identifier: Apache-2.0
"""The forms of a room's general terms: how people are recognised, servers of shares, abilities."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.console.conftest import make_console

from hitoku.console.users import May
from hitoku.console.work import drafts


def _private(data):
    """Both tables are asked with noise on the person, whom `tailnum` stands for."""
    for table in data["tables"]:
        table["rule"] = {
            "type": "custom",
            "allowedAnalyses": ["ANY_QUERY"],
            "allowedAnalysisProviders": ["airport"],
            "differentialPrivacy": {"columns": [{"name": "tailnum"}], "unit": "person"},
        }
    data["budgets"] = [
        {"owner": owner, "unit": "person", "epsilon": 5, "users_noise_per_query": 10}
        for owner in ("airport", "registry")
    ]


def words(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.partition("<main")[2]))


@pytest.fixture
def private(make):
    made = make_console(make(_private))
    yield made
    made.close()


def test_how_people_are_recognised_is_proposed_from_a_form(private):
    signer = private.sign_in(*May)
    path = f"/rooms/{private.room}/draft/crosstab"
    answer = signer.submit(
        path, tables=["flights", "planes"], why="so that we can count",
        **{"kind-0": "phone", "steps-0": ["e164", "trim", "nfkc"], "kind-1": "mail", "steps-1": ["casefold"],
           "kind-2": "", "steps-2": ["trim"], "code": "+81"},
    )  # fmt: skip
    assert answer.status_code == 303, words(answer.text)
    entry = private.context.node.rooms()[0]
    (made,) = drafts.all_of(private.context, entry)
    part = made.draft.agreement.crosstab
    assert part is not None
    assert [(i.kind, [str(n) for n in i.normalise]) for i in part.identifiers] == [
        ("phone", ["nfkc", "trim", "e164"]),
        ("mail", ["casefold"]),
    ]
    assert part.calling_code == "81"
    assert [str(p) for p in made.draft.agreement.protections] == ["tokens", "crosstab"]
    assert set(made.signers) == {"airport", "registry"}
    said = words(signer.get(f"/rooms/{private.room}/draft").text)
    assert "How people are recognised (added)" in said
    assert "Identifier phone, made alike by one Unicode form (NFKC), no spaces" in said


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tables": ["flights"]}, "at least 2 items"),
        ({"tables": ["flights", "planes"], "kind-0": ""}, "identifiers"),
        ({"tables": ["flights", "planes"], "kind-0": "NOT A KIND"}, "identifiers.0.kind"),
        (
            {"tables": ["flights", "planes"], "steps-0": ["e164"], "code": ""},
            "the step e164 needs calling_code",
        ),
        ({"tables": ["flights", "planes"], "steps-0": ["nonsense"]}, "there is no such step"),
        ({"tables": ["flights", "nowhere"]}, "there is no table"),
    ],
    ids=["one table", "no identifier", "kind", "code", "step", "table"],
)
def test_what_cannot_be_agreed_on_is_said_by_the_agreement_itself(private, fields, said):
    signer = private.sign_in(*May)
    answer = signer.submit(f"/rooms/{private.room}/draft/crosstab", **({"kind-0": "phone"} | fields))
    assert answer.status_code == 422
    assert said in words(answer.text)
    assert drafts.all_of(private.context, private.context.node.rooms()[0]) == ()


def test_a_table_without_noise_cannot_be_computed_so(console):
    signer = console.sign_in(*May)
    path = f"/rooms/{console.room}/draft/crosstab"
    assert "needs a custom rule with noise" in words(signer.get(path).text)
    answer = signer.submit(path, tables=["flights", "planes"], **{"kind-0": "phone", "steps-0": "trim"})
    assert "needs a custom rule with differentialPrivacy" in words(answer.text)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"server-0": "airport", "server-1": "registry", "server-2": "host"}, "ability compute"),
        ({"server-0": "airport", "server-1": "airport", "server-2": "registry"}, "shares"),
        ({"abilities-host": ["host", "receive"]}, "a host must receive none"),
        ({"abilities-airport": ["host"]}, "owns a table: a host must own none"),
        ({"protections": []}, "protections"),
        ({"interval": "soon"}, "interval: a whole number"),
        ({"round": "0"}, "release.round_counts"),
        ({"settings": []}, "need settings.allow_cleartext"),
    ],
    ids=[
        "servers",
        "server twice",
        "host receives",
        "host owns",
        "no protection",
        "interval",
        "round",
        "clear",
    ],
)
def test_general_terms_that_cannot_be_are_refused_with_what_was_typed(console, fields, said):
    signer = console.sign_in(*May)
    members = console.place.agreement.members
    usual: dict[str, Any] = {f"abilities-{m.name}": [str(a) for a in m.abilities] for m in members}
    usual |= {"name": "Kept words", "protections": ["tokens"], "interval": "0", "round": "1"}
    usual |= {"settings": ["allow_cleartext", "allow_duplicates"]}
    answer = signer.submit(f"/rooms/{console.room}/draft/edit", **(usual | fields))
    assert answer.status_code == 422
    assert said in words(answer.text)
    assert "Kept words" in answer.text


def test_servers_of_shares_are_proposed_from_a_form(console):
    signer = console.sign_in(*May)
    members = console.place.agreement.members
    fields: dict[str, Any] = {f"abilities-{m.name}": [str(a) for a in m.abilities] for m in members}
    fields |= {
        "abilities-airport": ["query", "receive", "compute"],
        "abilities-registry": ["receive", "compute"],
    }
    fields |= {"abilities-host": ["compute"], "protections": ["tokens", "shares"], "name": "Test room"}
    fields |= {"settings": ["allow_cleartext", "allow_duplicates"], "interval": "60", "round": "5"}
    fields |= {"server-0": "airport", "server-1": "registry", "server-2": "host", "summary": "yes"}
    answer = signer.submit(f"/rooms/{console.room}/draft/edit", **fields)
    assert answer.status_code == 303, words(answer.text)
    (made,) = drafts.all_of(console.context, console.context.node.rooms()[0])
    agreement = made.draft.agreement
    assert agreement.shares is not None
    assert agreement.shares.servers == ("airport", "registry", "host")
    assert (agreement.release.interval_seconds, agreement.release.round_counts) == (60, 5)
    assert set(made.signers) == {"airport", "registry", "host"}
    assert "airport (leads), registry and host" in words(signer.get(f"/rooms/{console.room}/draft").text)
