# SPDX-License-Identifier: Apache-2.0
"""A transcript is one chain, survives a crash, and says how many bytes were protected."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from tests.learning.world import RUN, SERVER, Keys

from hitoku.errors import InputError
from hitoku.learning.transcript import PAYLOADS, Transcript, read_transcript
from hitoku.learning.wire import REQUEST_DOMAIN, protected_bytes, seal

PLAN = b"p" * 32


def write(path: Path | None, count: int = 3, payloads: bool = False) -> Transcript:
    book = Transcript(path, party=SERVER, plan=PLAN, run=RUN, payloads=payloads)
    keys = Keys()
    for n in range(count):
        arrays = {"masked/a": np.arange(n, dtype=np.uint64), "b": np.zeros(1)}
        signed = seal(REQUEST_DOMAIN, keys, {"n": n}, arrays)
        book.note("sent", "aoi", "masks.sum", n + 1, *signed, protected_bytes(arrays))
    book.opened("masks.sum", {"session": 1}, np.arange(3))
    book.absent("beni", "masks.sum", 9, "no answer")
    return book


def test_lines(tmp_path: Path) -> None:
    path = tmp_path / "t" / "transcript.jsonl"
    write(path, payloads=True).close()
    first, *sent, opened, absent = read_transcript(path)
    assert (first["party"], first["run"], first["payloads"]) == (SERVER, RUN, True)
    for n, line in enumerate(sent):
        assert (line["direction"], line["member"], line["sequence"]) == ("sent", "aoi", n + 1)
        assert line["protected"].get("masked", 0) == 8 * n
        assert sum(line["protected"].values()) == line["bytes"]
        content = (path.parent / PAYLOADS / line["sha256"]).read_bytes()
        assert len(content) == line["bytes"]
        assert hashlib.sha256(content[72:]).hexdigest() == line["sha256"]
        assert content[8:72].hex() == line["signature"]
    assert opened["what"] == {"session": 1}
    kept = (path.parent / PAYLOADS / opened["sha256"]).read_bytes()
    assert np.frombuffer(kept, "<i8").tolist() == [0, 1, 2]
    assert absent["reason"] == "no answer"


def test_in_memory() -> None:
    book = write(None)
    assert [line["n"] for line in read_transcript(book.lines)] == list(range(6))
    book.close()


def test_it_goes_on_after_a_crash_at_every_byte_of_the_last_line(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    write(path).close()
    content = path.read_bytes()
    start = content.rfind(b"\n", 0, -1) + 1
    for cut in (start, start + 1, len(content) - 1, len(content)):
        path.write_bytes(content[:cut])
        book = Transcript(path, party=SERVER, plan=PLAN, run=RUN)
        book.absent("aoi", "masks.keys", 1, "no answer")
        book.close()
        lines = list(read_transcript(path))
        assert len(lines) == content[:cut].count(b"\n") + 1
        assert lines[-1]["kind"] == "masks.keys"


def test_a_torn_first_line(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'{"n":0')
    Transcript(path, party=SERVER, plan=PLAN, run=RUN).close()
    assert len(list(read_transcript(path))) == 1


def test_of_another_run(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    write(path).close()
    for party, plan, run in (("aoi", PLAN, RUN), (SERVER, b"q" * 32, RUN), (SERVER, PLAN, "x")):
        with pytest.raises(InputError, match="another run"):
            Transcript(path, party=party, plan=plan, run=run)
    for content in (b"no json\n", b"{}\n", b"[]\n"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="damaged"):
            Transcript(path, party=SERVER, plan=PLAN, run=RUN)


def test_every_change_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    write(path).close()
    lines = path.read_bytes().splitlines(keepends=True)
    changed = [
        [*lines[:2], *lines[3:]],
        [lines[0], lines[2], lines[1], *lines[3:]],
        [*lines[:3], lines[2], *lines[3:]],
        [*lines[:2], lines[2].replace(b'"sequence":2', b'"sequence":3'), *lines[3:]],
        [*lines[:2], b"[]\n", *lines[3:]],
    ]
    for each in changed:
        path.write_bytes(b"".join(each))
        with pytest.raises(InputError, match="does not follow"):
            list(read_transcript(path))
    with pytest.raises(InputError, match="cannot be read"):
        list(read_transcript(tmp_path / "none"))


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be written"):
        Transcript(tmp_path / "file" / "t", party=SERVER, plan=PLAN, run=RUN)
