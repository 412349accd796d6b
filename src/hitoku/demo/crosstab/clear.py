# SPDX-License-Identifier: Apache-2.0
"""The clear cross tables, by plain DuckDB on both companies' files, with SQL of its own for phone numbers.

It does by itself what the room agrees on (a person's several rows: the sum of the values, then clamped, and
the smallest value of a dimension), so an error in hitoku's own normalising would be seen as a difference.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hitoku.demo.crosstab.compare import Cell, Exact

__all__ = ["febrl", "people"]

# Full-width digits first, then all that is no digit, then 81 or 0 in front.
_PERSON: Final = """\
CREATE TEMP MACRO person(phone) AS
  regexp_replace(regexp_replace(
    translate(phone, '０１２３４５６７８９', '0123456789'),
    '[^0-9]', '', 'g'), '^(81|0)', '')"""

_PEOPLE: Final = """\
WITH guests AS (
  SELECT person(phone) AS person, min(airport) AS airport,
         least(greatest(sum(stay_nights), 0), $most) AS nights
  FROM read_parquet($travellers) WHERE phone IS NOT NULL GROUP BY ALL
), clients AS (
  SELECT person(phone) AS person, min(home_prefecture) AS home_prefecture, min(age_band) AS age_band
  FROM read_parquet($subscribers) WHERE phone IS NOT NULL GROUP BY ALL
)
SELECT home_prefecture, age_band, airport, count(*), sum(nights)
FROM guests JOIN clients USING (person)
GROUP BY ALL"""

_FEBRL: Final = """\
SELECT a.region, b.age_band, count(*), sum(least(greatest(b.claims, 0), $most))
FROM read_parquet($clinic) AS a JOIN read_parquet($insurer) AS b ON a.soc_sec_id = b.soc_sec_id
GROUP BY ALL"""


def people(travellers: Path, subscribers: Path, most_nights: int) -> dict[Cell, Exact]:
    """(home_prefecture, age_band, airport) -> people in both files, and their nights of at most so many."""
    files = {"travellers": str(travellers), "subscribers": str(subscribers)}
    return _cells(_PEOPLE, {**files, "most": most_nights})


def febrl(clinic: Path, insurer: Path, most_claims: int) -> dict[Cell, Exact]:
    """(region, age_band) -> people with the same `soc_sec_id` in both files, and their claims."""
    return _cells(_FEBRL, {"clinic": str(clinic), "insurer": str(insurer), "most": most_claims})


def _cells(query: str, parameters: dict[str, str | int]) -> dict[Cell, Exact]:
    import duckdb

    with duckdb.connect() as connection:
        connection.execute(_PERSON)
        rows = connection.execute(query, parameters).fetchall()
    return {tuple(row[:-2]): Exact(int(row[-2]), int(row[-1])) for row in rows}
