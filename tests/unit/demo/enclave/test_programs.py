# SPDX-License-Identifier: Apache-2.0
"""The programs of the demo's dishonest host: each differs in one byte, or is another, in copies only."""

from __future__ import annotations

import py_compile
from pathlib import Path

import pytest

from hitoku.attestation.launch.image import Installation
from hitoku.demo.enclave.dishonest import honest, order
from hitoku.demo.enclave.programs import Altered, changed_dependency, changed_own, source_of, usurper
from hitoku.errors import InputError

HERE = Installation.here()


def different(one: Path, other: Path) -> list[int]:
    left, right = one.read_bytes(), other.read_bytes()
    assert len(left) == len(right)
    return [at for at, (a, b) in enumerate(zip(left, right, strict=True)) if a != b]


def test_one_byte_of_its_own(tmp_path: Path) -> None:
    altered = changed_own(tmp_path / "x")
    path = Path("protections/enclave/worker/compute.py")
    assert altered.own is not None
    assert len(different(Path(altered.own) / path, HERE.own[0] / path)) == 1
    py_compile.compile(str(Path(altered.own) / path), cfile=str(tmp_path / "x.pyc"), doraise=True)
    assert source_of(altered).own[0] == Path(altered.own)
    others = [file for file in HERE.own[0].rglob("*.py") if file != HERE.own[0] / path]
    assert all(not different(Path(altered.own) / f.relative_to(HERE.own[0]), f) for f in others[:50])


@pytest.mark.parametrize(
    ("name", "pattern"), [("sqlglot", "sqlglot/parser.py"), ("cryptography", "cryptography/**/*.so")]
)
def test_one_byte_of_a_dependency(tmp_path: Path, name: str, pattern: str) -> None:
    altered = changed_dependency(tmp_path / "x", name, pattern)
    (found,) = (tmp_path / "x").glob(pattern)
    (right,) = HERE.site[0].glob(pattern)
    assert len(different(found, right)) == 1
    assert source_of(altered).site == (tmp_path / "x", *HERE.site)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sqlglot has no file nothing"):
        changed_dependency(tmp_path, "sqlglot", "nothing")


def test_a_forger_is_another_entry_point(tmp_path: Path) -> None:
    altered = usurper(tmp_path, "0" * 96)
    assert altered.entry == "hitoku.protections.enclave.worker.usurper:main"
    assert altered.argv == ("0" * 96,)
    assert altered.own is not None
    source = Path(altered.own) / "protections/enclave/worker/usurper.py"
    py_compile.compile(str(source), cfile=str(tmp_path / "x.pyc"), doraise=True)
    assert not (HERE.own[0] / "protections/enclave/worker/usurper.py").exists()


def test_orders_come_back(tmp_path: Path) -> None:
    altered = Altered("x", own="/a", site="/b", entry="c:d", argv=("e",))
    assert Altered.from_dict(altered.to_dict()) == altered
    order(tmp_path, altered)
    order(tmp_path)
    assert (tmp_path / "dishonest.json").exists()
    honest(tmp_path)
    honest(tmp_path)
    assert not (tmp_path / "dishonest.json").exists()
