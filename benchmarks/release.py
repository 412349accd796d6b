# SPDX-License-Identifier: Apache-2.0
"""How long the release of noised cells takes: from exact figures to the answer.

Part of `benchmarks/questions.py`; by itself: `python benchmarks/release.py [--quick] [--json]`

The noise of a question is drawn while the engine computes its figures, as a host does it, and once all after
the figures are there. Both are shown; the promise is about the first.
"""

from __future__ import annotations

import base64
import statistics
import time
from typing import Any

import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from _common import Claim, report
from hitoku.disclosure.cells import Cells
from hitoku.disclosure.leakage import Leakage
from hitoku.disclosure.noise import Draws
from hitoku.disclosure.plan import plan
from hitoku.disclosure.release import release
from hitoku.ports import SystemClock
from hitoku.questions import check
from hitoku.questions.noised import PART
from hitoku.room.agreement import Agreement, Room

CELLS = 10_000


def _key(number: int) -> str:
    public = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32).public_key().public_bytes_raw()
    return "ed25519:" + base64.b64encode(public).decode()


def room() -> Room:
    """One protected table, grouped by a column whose values are not public."""
    privacy = {"columns": [{"name": "uid"}], "unit": "person", "maxRowsPerGroup": 1, "maxGroups": 1}
    rule: dict[str, Any] = {
        "type": "custom",
        "allowedAnalyses": ["ANY_QUERY"],
        "allowedAnalysisProviders": ["asker"],
        "differentialPrivacy": privacy,
    }
    names = ("uid", "place")
    columns = [
        {"name": name, "type": "string", "protection": "cleartext", "nullable": False} for name in names
    ]
    return Room(
        agreement=Agreement.model_validate(
            {
                "id": "00000000-1111-2222-3333-444444444444",
                "name": "Cells",
                "settings": {"allow_cleartext": True},
                "members": [
                    {"name": "asker", "key": _key(1), "abilities": ["query", "receive"]},
                    {"name": "owner", "key": _key(2)},
                ],
                "budgets": [{"owner": "owner", "unit": "person", "epsilon": 5}],
                "tables": [{"name": "visits", "owner": "owner", "columns": columns, "rule": rule}],
            }
        )
    )


def main(quick: bool) -> list[Claim]:
    """Measure: 10^4 groups, each with one noised count, all above the threshold."""
    place = room()
    question = check("SELECT place, COUNT(DISTINCT uid) AS people FROM visits GROUP BY place", place, "asker")
    how = plan(question, place, ["asker"])
    if how.noise is None:
        raise SystemExit("the question has no noise")
    figures = pa.table(
        {
            PART: pa.array([1] * CELLS, pa.int32()),
            "_hitoku_g1_1": [f"place {n}" for n in range(CELLS)],
            "_hitoku_f1": pa.array([1_000 + n % 100 for n in range(CELLS)], pa.int64()),
        }
    )
    ahead: list[float] = []
    after: list[float] = []
    for _ in range(3 if quick else 15):
        for times, count in ((ahead, CELLS), (after, 0)):
            draws = Draws(how.noise, count)
            draws.wait()
            start = time.perf_counter()
            answer = release(
                Cells(question.hash, figures),
                how,
                question,
                leakage=Leakage(()),
                protection="tokens",
                run="0" * 32,
                clock=SystemClock(),
                draws=draws,
            )
            times.append((time.perf_counter() - start) * 1000)
            draws.close()
            if len(answer) != CELLS:
                raise SystemExit(f"{len(answer)} cells came out, not {CELLS}")
    median = statistics.median(ahead)
    note = f"{CELLS:,} groups with thresholds, discrete Gaussian of sigma 30, bands, sorted"
    return [
        Claim(
            "release of 10^4 noised cells, noise drawn while the engine ran, median",
            median,
            "ms",
            "< 50 ms",
            holds=median < 50,
            note=note,
        ),
        Claim("the same, all noise drawn after", statistics.median(after), "ms", note=note),
    ]


if __name__ == "__main__":
    report("release", main)
