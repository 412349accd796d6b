# SPDX-License-Identifier: Apache-2.0
"""Hitoku against the second implementation; and that one against what AWS's client once made."""

from __future__ import annotations

import csv
import struct
from pathlib import Path

import pyarrow as pa
import pytest

from hitoku import _core

from . import reference
from .exchange import Exchange, exchange
from .peers import Reference
from .suite import Suite

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "c3r"


@pytest.fixture(scope="module")
def with_reference(tmp_path_factory: pytest.TempPathFactory) -> Exchange:
    return exchange(Reference(), tmp_path_factory.mktemp("reference"))


class TestReference(Suite):
    @pytest.fixture
    def exchanged(self, with_reference: Exchange) -> Exchange:
        return with_reference


# Fingerprints AWS expects of its own client (its FingerprintEquivalenceClassTest, aws/c3r, Apache-2.0):
# secret "SomeFakeSecretKey", salt "saltybytes", column "label".
KNOWN = [
    ("bigint", struct.pack(">q", 2**63 - 1), "tJkxHwIHIj0kN9fOGfMmqRlHm7JSJukZ0+KLiUCPaWM="),
    ("bigint", struct.pack(">q", 100), "XxBlrpT1ndd+Jk12ya7Finb9I9rOCzBO3ivb/inZ0eo="),
    ("boolean", b"\x01", "Tzupi3wWfO1KjWtrbHQ1QS/uYZMPcqcBOJQ7oW7XPzg="),
    ("date", struct.pack(">i", 100), "8sqW9guEZZM5Yp4ZrPHg5os8s0j+m2odoieHGVto2eg="),
    ("string", b"12345", "31wVfl2/f1AUWduklYARibTmLE0P4/99MtNJ14W7qO8="),
    ("string", struct.pack(">q", 100), "1Mv2rjn0cWRjXl5nWA3dNP0hT6PXDbcDbZhayZMgNMU="),
]


@pytest.mark.parametrize(("kind", "value", "expected"), KNOWN)
def test_fingerprints_are_those_aws_expects(kind: str, value: bytes, expected: str) -> None:
    keys = reference.Keys(b"SomeFakeSecretKey", "saltybytes")
    assert keys.fingerprint(keys.column("label"), kind, value) == f"02:hmac:{expected}"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([2**63 - 1, 100]), [KNOWN[0][2], KNOWN[1][2]]),
        (pa.array([100], pa.int32()), [KNOWN[1][2]]),
        (pa.array([100], pa.int16()), [KNOWN[1][2]]),
        (pa.array([True]), [KNOWN[2][2]]),
        (pa.array([100], pa.int32()).cast(pa.date32()), [KNOWN[3][2]]),
        (pa.array(["12345"]), [KNOWN[4][2]]),
    ],
    ids=["bigint", "int", "smallint", "boolean", "date", "string"],
)
def test_our_kernel_makes_them_too(values: pa.Array, expected: list[str]) -> None:
    key = reference.Keys(b"SomeFakeSecretKey", "saltybytes").column("label")
    made = _core.fingerprint(values, key, False)
    assert made.to_pylist() == [f"02:hmac:{text}" for text in expected]


@pytest.mark.skipif(not VECTORS.exists(), reason="shared/ is not beside this clone")
def test_the_reference_reads_the_sample_aws_ships() -> None:
    keys = reference.Keys(bytes(range(32)), "00000000-1111-2222-3333-444444444444")
    _, rows = reference.read_csv(VECTORS / "marshalled_data_sample.csv", None, header=True)
    opened = {tuple(reference.decrypt_value(value, keys)[1] for value in row) for row in rows}
    carl = next(row for row in opened if row[0] == "Carl")
    assert carl[2:4] == ("0 Street", "Bethesda")
    assert carl[8] == "CIO"
    with (VECTORS / "data_sample_with_quotes.csv").open(encoding="utf-8", newline="") as file:
        states = {row["FirstName"]: row["State"] for row in csv.DictReader(file)}
    key = keys.column("state")
    for row in opened:
        assert keys.fingerprint(key, "string", states[str(row[0])].encode()) == row[4]
