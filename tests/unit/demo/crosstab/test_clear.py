# SPDX-License-Identifier: Apache-2.0
"""The clear answers that the demo compares with."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from hitoku.demo.crosstab import clear
from hitoku.demo.crosstab.compare import Exact
from hitoku.demo.people import places
from hitoku.demo.people.febrl import AGE_BANDS, MOST_CLAIMS, REGIONS, write_febrl
from hitoku.demo.people.write import write_people


def test_one_row_a_person_however_the_number_is_written(tmp_path):
    wide = "".join(chr(ord(c) + 0xFEE0) for c in "09000000003")
    guests = {
        "phone": ["090-0000-0001", "+81 90-0000-0001", "(090) 0000-0002", wide, None, "09000000009"],
        "airport": ["OKA", "HND", "OKA", "OKA", "OKA", "OKA"],
        "stay_nights": [20, 25, -4, 3, 9, 9],
    }
    clients = {
        "phone": ["+819000000001", "+819000000002", "+819000000003", "+819000000004"],
        "home_prefecture": ["Tokyo", "Osaka", "Osaka", "Osaka"],
        "age_band": ["20s", "30s", "30s", "30s"],
    }
    for name, rows in (("guests", guests), ("clients", clients)):
        pq.write_table(pa.table(rows), tmp_path / name)
    assert clear.people(tmp_path / "guests", tmp_path / "clients", 30) == {
        ("Tokyo", "20s", "HND"): Exact(1, 30),
        ("Osaka", "30s", "OKA"): Exact(2, 3),
    }


def test_everybody_in_both_is_found(tmp_path):
    made = write_people(5_000, 3, tmp_path)
    cells = clear.people(made.travellers, made.subscribers, places.MOST_NIGHTS)
    assert sum(cell.people for cell in cells.values()) == made.sizes.both == 3_000
    assert {c[0] for c in cells} <= places.PREFECTURES.keys()
    assert {c[1] for c in cells} == places.AGE_BANDS.keys()
    assert {c[2] for c in cells} == places.AIRPORTS.keys()


def test_febrl(tmp_path):
    made = write_febrl(tmp_path)
    cells = clear.febrl(made.clinic, made.insurer, MOST_CLAIMS)
    assert sum(cell.people for cell in cells.values()) == made.same_id
    assert {c[0] for c in cells} == set(REGIONS)
    assert {c[1] for c in cells} <= set(AGE_BANDS)
    assert 0 < sum(cell.total for cell in cells.values()) < made.same_id * MOST_CLAIMS
