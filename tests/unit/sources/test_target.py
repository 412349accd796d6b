# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import errno
import os

import pytest

from hitoku.errors import InputError
from hitoku.sources import NewFile


@pytest.fixture(params=["nameless", "named"])
def way(request, monkeypatch):
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE")


def test_the_name_comes_last(way, tmp_path):
    with NewFile(tmp_path / "f") as file:
        file.file.write(b"x")
        assert not (tmp_path / "f").exists()
        file.commit()
        assert (tmp_path / "f").read_bytes() == b"x"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_no_commit_no_file(way, tmp_path):
    with NewFile(tmp_path / "f") as file:
        file.file.write(b"x")
    with pytest.raises(KeyboardInterrupt), NewFile(tmp_path / "f"):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_overwriting_is_atomic(way, tmp_path):
    (tmp_path / "f").write_text("old")
    with pytest.raises(InputError, match="exists"):
        NewFile(tmp_path / "f")
    with NewFile(tmp_path / "f", overwrite=True) as file:
        file.file.write(b"new")
        assert (tmp_path / "f").read_text() == "old"
        file.commit()
    assert (tmp_path / "f").read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_appears_meanwhile_is_kept(way, tmp_path):
    with NewFile(tmp_path / "f") as file:
        (tmp_path / "f").write_text("theirs")
        with pytest.raises(InputError, match="exists"):
            file.commit()
    assert (tmp_path / "f").read_text() == "theirs"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("code", "words"), [(errno.ENOSPC, "no space"), (errno.EIO, "cannot be written")])
def test_errors_of_the_disk(way, tmp_path, code, words):
    with pytest.raises(InputError, match=words), NewFile(tmp_path / "f"):
        raise OSError(code, "planted")
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match="folder"):
        NewFile(tmp_path)
    with pytest.raises(InputError, match="cannot be written"), NewFile(tmp_path / "none" / "f"):
        pass
