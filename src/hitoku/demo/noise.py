# SPDX-License-Identifier: Apache-2.0
"""`hitoku demo noise`: the same two companies, but no aircraft can be told. Checks its own errors."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from hitoku.demo import stage, story

if TYPE_CHECKING:
    from rich.console import Console

    from hitoku.disclosure.answer import Answer

__all__ = ["CARRIERS", "QUESTION", "agreement", "run"]

_ABILITIES: Final[dict[str, list[str]]] = {
    "airport": [],
    "registry": [],
    "analyst": ["query", "receive"],
    "host": ["host"],
}
CARRIERS: Final = (
    "9E",
    "AA",
    "AS",
    "B6",
    "DL",
    "EV",
    "F9",
    "FL",
    "HA",
    "MQ",
    "OO",
    "UA",
    "US",
    "VX",
    "WN",
    "YV",
)
"""Public: every airport has them on its boards. So their groups need no threshold."""
_USERS_NOISE: Final = 10

QUESTION: Final = """\
SELECT f.carrier, COUNT(DISTINCT f.tailnum) AS aircraft
FROM flights AS f JOIN planes AS p ON f.tailnum = p.tailnum
WHERE p.engine = 'Turbo-fan'
GROUP BY f.carrier"""

_BY_MAKER: Final = """\
SELECT p.manufacturer, COUNT(DISTINCT p.tailnum) AS aircraft
FROM flights AS f JOIN planes AS p ON f.tailnum = p.tailnum
GROUP BY p.manufacturer"""

_TRUTH: Final = """\
SELECT f.carrier, COUNT(DISTINCT f.tailnum) AS aircraft
FROM read_parquet($flights) AS f JOIN read_parquet($planes) AS p ON f.tailnum = p.tailnum
WHERE p.engine = 'Turbo-fan'
GROUP BY f.carrier"""


def agreement(keys: dict[str, str]) -> dict[str, Any]:
    """The agreement as data, for the members' public keys."""
    made = story.agreement({n: keys[n] for n in ("airport", "registry", "host")})
    for table in made["tables"]:
        privacy: dict[str, Any] = {
            "columns": [{"name": "tailnum"}],
            "unit": "aircraft",
            "maxRowsPerGroup": 1,
            "maxGroups": 2,
        }
        if table["name"] == "flights":
            privacy["publicValues"] = [{"columnName": "carrier", "values": list(CARRIERS)}]
        table["rule"] = {
            "type": "custom",
            "allowedAnalyses": ["ANY_QUERY"],
            "allowedAnalysisProviders": ["analyst"],
            "differentialPrivacy": privacy,
        }
    return {
        **made,
        "id": str(uuid4()),
        "name": "Aircraft by carrier, with noise",
        "settings": {**made["settings"], "preserve_nulls": True},
        "members": [{"name": n, "key": k, "abilities": _ABILITIES[n]} for n, k in keys.items()],
        "budgets": [
            {"owner": owner, "unit": "aircraft", "epsilon": 5, "users_noise_per_query": _USERS_NOISE}
            for owner in ("airport", "registry")
        ],
    }


def run(directory: Path, console: Console) -> dict[str, Any]:
    """Tell the whole story in `directory`. Returns how it ended; `right` says whether the errors are as said.

    Raises:
        InputError: the directory is not the demo's, or the data is not installed.
    """
    began = time.monotonic()
    stage.prepare(directory)
    console.print(f"Everything of this demo is in [b]{directory.resolve()}[/b]; delete it when you like.")
    members = stage.members(directory, _ABILITIES, console)
    agreed = stage.room(directory, members, agreement, console)
    console.print("An analyst may ask anything of both tables. Every figure gets noise that hides")
    console.print(
        f"{_USERS_NOISE} aircraft; each owner keeps an account of epsilon 5 for all answers together."
    )
    stage.encrypt(directory, members, agreed, story.SCHEMAS, console)
    _preview(directory, console, "4  What a question would cost, before it is asked")
    answer = _ask(directory, console)
    same = _again(directory, answer, console)
    _groups(directory, console)
    error = _check(directory, answer, console)
    # Chi-square with 16 degrees: outside of this once in a thousand million runs.
    right = same and 0.25 < error / _USERS_NOISE < 2.2
    _next(directory, answer, console)
    seconds = time.monotonic() - began
    console.print(f"\nThe demo's own work took {seconds:.1f} s.")
    return {
        "right": right,
        "rows": answer.num_rows,
        "error": round(error, 3),
        "predicted": _USERS_NOISE,
        "directory": str(directory.resolve()),
        "seconds": round(seconds, 3),
    }


def _preview(directory: Path, console: Console, title: str) -> None:
    from hitoku.cli.ask import previewed
    from hitoku.node.local import open_room

    stage.say(console, title)
    console.print(QUESTION, markup=False, highlight=False)
    console.print()
    for line in previewed(open_room(directory, "analyst").preview(QUESTION)):
        console.print(line, markup=False, highlight=False)


def _ask(directory: Path, console: Console) -> Answer:
    from hitoku.node.local import open_room

    stage.say(console, "5  It is asked")
    answer = open_room(directory, "analyst").ask(QUESTION)
    console.print(answer)
    return answer


def _again(directory: Path, answer: Answer, console: Console) -> bool:
    from hitoku.node.local import open_room

    stage.say(console, "6  Asked again, and in other words")
    console.print("The mean of many answers to one question would be the exact one. So:")
    again = "select carrier, count(distinct p.tailnum) as aircraft from planes p join flights f "
    again += "using (tailnum) where 'Turbo-fan' = engine group by 1"
    console.print(
        again.replace(" from", "\nfrom").replace(" where", "\nwhere"), markup=False, highlight=False
    )
    room = open_room(directory, "analyst")
    different = room.ask(again)
    same = room.ask(QUESTION)
    if same.table.equals(answer.table):
        console.print("The first wording again: the same answer, to the last digit, at no cost.")
    if different.question == answer.question:
        console.print("The second is the same question to hitoku: the same answer, too.")
    else:
        console.print("The second is another question to hitoku: other noise, paid for like the first.")
    return bool(same.table.equals(answer.table))


def _groups(directory: Path, console: Console) -> None:
    from hitoku.node.local import open_room

    stage.say(console, "7  Groups that are not public must be large; that is decided with noise, too")
    console.print(_BY_MAKER, markup=False, highlight=False)
    console.print()
    console.print(open_room(directory, "analyst").ask(_BY_MAKER))


def _check(directory: Path, answer: Answer, console: Console) -> float:
    """The root of the mean square error against plain DuckDB on the clear tables."""
    import duckdb

    stage.say(console, "8  How wrong is it? The same question by plain DuckDB on the clear tables")
    places = {
        "flights": str(directory / "airport" / "tables" / "flights.parquet"),
        "planes": str(directory / "registry" / "tables" / "planes.parquet"),
    }
    with duckdb.connect() as connection:
        exact = dict(connection.execute(_TRUTH, places).fetchall())
    errors = [noised - exact.get(carrier, 0) for carrier, noised in answer.fetchall()]
    error = math.sqrt(math.fsum(e * e for e in errors) / len(errors))
    inside = sum(abs(e) <= math.ceil(1.96 * _USERS_NOISE) for e in errors)
    console.print(
        f"error found: {error:.1f} aircraft; error predicted: {_USERS_NOISE}.0; "
        f"{inside} of {len(errors)} figures are inside their 95 % bands."
    )
    return error


def _next(directory: Path, answer: Answer, console: Console) -> None:
    stage.say(console, "What to try next")
    place = directory / "aircraft.vl.json"
    place.write_text(json.dumps(answer.chart(), ensure_ascii=False, indent=1) + "\n", "utf-8")
    console.print(f"{place}: the answer with its bands as a Vega-Lite plot (for SVG: hitoku ask --plot)")
    question = "SELECT carrier, COUNT(*) AS flights FROM flights GROUP BY carrier"
    for line in (
        f"hitoku ask '{question}' --room {directory} --preview",
        f"hitoku ask '{question}' --room {directory} --users-noise 40",
        f"hitoku explain '{question}' --room {directory}",
        f"hitoku room budgets --as airport {directory}",
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
