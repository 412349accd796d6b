# SPDX-License-Identifier: Apache-2.0
"""The agreements of the demo's two rooms: an airline and a mobile operator; two registers of people."""

from __future__ import annotations

from typing import Any, Final
from uuid import uuid4

from hitoku.demo.people import febrl, places

__all__ = ["EPSILON", "HEALTH", "ROOM_NAME", "TRAVEL", "USERS_NOISE", "health", "travel"]

USERS_NOISE: Final = 10
EPSILON: Final = 10
ROOM_NAME: Final = "Where subscribers travel"

TRAVEL: Final = """\
SELECT s.home_prefecture, s.age_band, t.airport,
       COUNT(DISTINCT t.phone) AS travellers, AVG(t.stay_nights) AS mean_stay
FROM travellers AS t JOIN subscribers AS s ON t.phone = s.phone
GROUP BY s.home_prefecture, s.age_band, t.airport"""

HEALTH: Final = """\
SELECT c.region, i.age_band, COUNT(DISTINCT c.person) AS people, AVG(i.claims) AS mean_claims
FROM clinic AS c JOIN insurer AS i ON c.person = i.person
GROUP BY c.region, i.age_band"""


def rule(askers: list[str], unit: str, column: str, **privacy: Any) -> dict[str, Any]:
    """A custom rule: those may ask anything, with noise that hides one person."""
    return {
        "type": "custom",
        "allowedAnalyses": ["ANY_QUERY"],
        "allowedAnalysisProviders": askers,
        "differentialPrivacy": {"columns": [{"name": column}], "unit": unit, **privacy},
    }


def travel(keys: dict[str, str]) -> dict[str, Any]:
    """The agreement of airline and operator as data, for their public keys."""
    phone = {"name": "phone", "type": "string", "protection": "fingerprint", "nullable": False}
    return {
        "id": str(uuid4()),
        "name": ROOM_NAME,
        "settings": {"allow_cleartext": True, "allow_duplicates": True, "preserve_nulls": True},
        "protections": ["crosstab"],
        "members": [
            {"name": "airline", "key": keys["airline"], "abilities": ["query", "receive"]},
            {"name": "operator", "key": keys["operator"], "abilities": ["query", "receive"]},
        ],
        "tables": [
            {
                "name": "travellers",
                "owner": "airline",
                "columns": [
                    phone,
                    {"name": "airport", "type": "string", "protection": "cleartext"},
                    {"name": "stay_nights", "type": "int", "protection": "cleartext", "nullable": False},
                ],
                "rule": rule(
                    ["airline", "operator"],
                    "person",
                    "phone",
                    bounds=[{"columnName": "stay_nights", "lower": 0, "upper": places.MOST_NIGHTS}],
                    publicValues=[{"columnName": "airport", "values": sorted(places.AIRPORTS)}],
                ),
            },
            {
                "name": "subscribers",
                "owner": "operator",
                "columns": [
                    phone,
                    {"name": "home_prefecture", "type": "string", "protection": "cleartext"},
                    {"name": "age_band", "type": "string", "protection": "cleartext"},
                ],
                "rule": rule(
                    ["airline", "operator"],
                    "person",
                    "phone",
                    publicValues=[
                        {"columnName": "home_prefecture", "values": sorted(places.PREFECTURES)},
                        {"columnName": "age_band", "values": sorted(places.AGE_BANDS)},
                    ],
                ),
            },
        ],
        "budgets": [
            {"owner": owner, "unit": "person", "epsilon": EPSILON, "users_noise_per_query": USERS_NOISE}
            for owner in ("airline", "operator")
        ],
        "crosstab": {
            "identifiers": [{"kind": "phone", "normalise": ["nfkc", "trim", "e164"]}],
            "calling_code": "81",
            "tables": [
                {"table": "travellers", "duplicates": [{"column_name": "stay_nights", "merge": "sum"}]},
                {"table": "subscribers"},
            ],
        },
    }


def health(keys: dict[str, str]) -> dict[str, Any]:
    """The agreement of a clinic and an insurer, who hold Febrl's records, as data."""
    person = {"name": "person", "type": "string", "protection": "fingerprint", "nullable": False}
    return {
        "id": str(uuid4()),
        "name": "Claims by region and age",
        "settings": {"allow_cleartext": True, "allow_duplicates": True, "preserve_nulls": True},
        "protections": ["crosstab"],
        "members": [
            {"name": name, "key": keys[name], "abilities": ["query", "receive"]}
            for name in ("clinic", "insurer")
        ],
        "tables": [
            {
                "name": "clinic",
                "owner": "clinic",
                "columns": [person, {"name": "region", "type": "string", "protection": "cleartext"}],
                "rule": rule(
                    ["clinic", "insurer"],
                    "person",
                    "person",
                    publicValues=[{"columnName": "region", "values": sorted(febrl.REGIONS)}],
                ),
            },
            {
                "name": "insurer",
                "owner": "insurer",
                "columns": [
                    person,
                    {"name": "age_band", "type": "string", "protection": "cleartext"},
                    {"name": "claims", "type": "bigint", "protection": "cleartext", "nullable": False},
                ],
                "rule": rule(
                    ["clinic", "insurer"],
                    "person",
                    "person",
                    bounds=[{"columnName": "claims", "lower": 0, "upper": febrl.MOST_CLAIMS}],
                    publicValues=[{"columnName": "age_band", "values": sorted(febrl.AGE_BANDS)}],
                ),
            },
        ],
        "budgets": [
            {"owner": owner, "unit": "person", "epsilon": EPSILON, "users_noise_per_query": USERS_NOISE}
            for owner in ("clinic", "insurer")
        ],
        "crosstab": {
            "identifiers": [{"kind": "soc_sec_id", "normalise": ["nfkc", "digits"]}],
            "tables": [
                {"table": "clinic", "other": [{"column_name": "region", "value": "other"}]},
                {
                    "table": "insurer",
                    "other": [{"column_name": "age_band", "value": "other"}],
                    "duplicates": [{"column_name": "claims", "merge": "sum"}],
                },
            ],
        },
    }
