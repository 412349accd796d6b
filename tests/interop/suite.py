# SPDX-License-Identifier: Apache-2.0
"""The tests every peer must pass; a test module names the peer and inherits them."""

from __future__ import annotations

import pytest

from .cases import ACCEPTED, PARQUET_CASES, REFUSED, Case
from .exchange import Exchange, assert_rows, assert_same_fingerprints, rows, shape

accepted = pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.name)
refused = pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
parquet = pytest.mark.parametrize(
    "case", [case for case in PARQUET_CASES if case.rows is not None], ids=lambda case: case.name
)


class Suite:
    """Both ways, every case. `exchanged` is the peer's exchange, made once."""

    @pytest.fixture
    def exchanged(self) -> Exchange:
        raise NotImplementedError

    @accepted
    def test_they_read_ours(self, exchanged: Exchange, case: Case) -> None:
        assert exchanged.ours_encrypted[case.name].error is None
        assert exchanged.theirs_decrypted[case.name].error is None
        assert_rows(case, exchanged.file("theirs", "decrypt", case))

    @accepted
    def test_we_read_theirs(self, exchanged: Exchange, case: Case) -> None:
        assert exchanged.theirs_encrypted[case.name].error is None
        assert exchanged.ours_decrypted[case.name].error is None
        assert_rows(case, exchanged.file("ours", "decrypt", case))

    @accepted
    def test_fingerprints_are_the_same(self, exchanged: Exchange, case: Case) -> None:
        ours, theirs = (exchanged.file(who, "encrypt", case) for who in ("ours", "theirs"))
        assert_same_fingerprints(case, ours, theirs)

    @accepted
    def test_sealed_values_have_the_same_lengths(self, exchanged: Exchange, case: Case) -> None:
        """Same encodings, same padding: the multiset of lengths in every column is the same."""
        lengths = [
            [
                sorted(len(v) if isinstance(v, str) and v.startswith("02:enc:") else -1 for v in column)
                for column in zip(*rows(exchanged.file(who, "encrypt", case), case.opened_null), strict=True)
            ]
            for who in ("ours", "theirs")
        ]
        assert lengths[0] == lengths[1]

    @parquet
    def test_encrypted_parquet_has_the_same_columns(self, exchanged: Exchange, case: Case) -> None:
        ours, theirs = (shape(exchanged.file(who, "encrypt", case)) for who in ("ours", "theirs"))
        assert [column[:3] for column in ours] == [column[:3] for column in theirs]

    @refused
    def test_both_refuse(self, exchanged: Exchange, case: Case) -> None:
        assert not exchanged.theirs_encrypted[case.name].ok
        assert not exchanged.ours_encrypted[case.name].ok
        assert not exchanged.file("ours", "encrypt", case).exists()
