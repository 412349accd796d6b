# SPDX-License-Identifier: Apache-2.0
"""The audit of a run: what holds, and every planted fault by its own finding."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pytest
from tests.unit.learning.learning_world import BANKS, make_room
from tests.unit.learning.test_server import Running

from hitoku.errors import InputError
from hitoku.learning import wire
from hitoku.learning.audit import audit
from hitoku.learning.transcript import START


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_room(tmp_path_factory.mktemp("room"))


@pytest.fixture(scope="module")
def done(place, tmp_path_factory):
    """A run that has ended, with all messages kept."""
    path = tmp_path_factory.mktemp("audited")
    world = Running(place, path, aggregation={"transcript": "full", "seconds": 20}, guard={"every": 2})
    world.run()
    world.close()
    return path


@pytest.fixture
def copy(done, tmp_path):
    shutil.copytree(done, tmp_path / "run")
    return tmp_path / "run"


def checked(path, members=BANKS):
    return audit(path / "run", [path / name for name in members])


def codes(report):
    return {finding.code for finding in report.findings}


def rewrite(folder, change):
    """Change lines of a transcript and mend its chain; what is signed cannot be mended."""
    path = folder / "transcript.jsonl"
    before = START
    lines: list[str] = []
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        changed = change(entry)
        if changed is None:
            continue
        changed |= {"n": len(lines), "previous": before}
        text = json.dumps(changed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        before = hashlib.sha256(text.encode()).hexdigest()
        lines.append(text)
    path.write_text("\n".join(lines) + "\n")


def test_an_honest_run_holds(done):
    report = checked(done)
    assert report.findings == []
    assert report.holds
    facts = report.facts
    assert facts["replayed"]
    assert facts["compared_with"] == list(BANKS)
    assert facts["sums_opened"] > 0
    assert facts["sets"] == [list(BANKS)]
    assert facts["protected_share"] > 0.2
    json.dumps(report.to_dict())


def test_what_is_no_run(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        audit(tmp_path)


def test_a_changed_line_breaks_the_chain(copy):
    path = copy / "run" / "transcript.jsonl"
    lines = path.read_text().splitlines()
    lines[5] = lines[5].replace('"kind":"', '"kind":"x')
    path.write_text("\n".join(lines) + "\n")
    assert "CHAIN" in codes(checked(copy))


def test_a_line_left_out_is_noticed_by_the_member_whose_it_is(copy):
    dropped: list[object] = []

    def drop(entry):
        if entry.get("direction") == "sent" and entry.get("member") == "chiyo" and not dropped:
            dropped.append(entry)
            return None
        return entry

    rewrite(copy / "run", drop)
    assert codes(checked(copy, ["aki"])) == set()
    assert codes(checked(copy, ["chiyo"])) == {"HIDDEN"}


def test_an_answer_of_somebody_else(copy):
    def rename(entry):
        if entry.get("direction") == "received" and entry["member"] == "chiyo":
            entry["member"] = "daiwa"
        return entry

    rewrite(copy / "run", rename)
    assert {"SIGNATURE", "PAYLOAD", "INVENTED"} <= codes(checked(copy))


def test_a_stranger(copy):
    rewrite(copy / "run", lambda entry: entry | ({"member": "zen"} if "member" in entry else {}))
    assert "STRANGER" in codes(audit(copy / "run"))


def test_other_payloads(copy):
    files = sorted((copy / "run" / "payloads").iterdir())
    content = bytearray(files[0].read_bytes())
    content[-1] ^= 1
    files[0].write_bytes(bytes(content))
    files[1].unlink()
    assert {"PAYLOAD", "PAYLOAD_MISSING"} & codes(audit(copy / "run"))


def test_another_model(copy):
    model = copy / "run" / "model.json"
    model.write_bytes(model.read_bytes().replace(b"fraud", b"freud"))
    assert {"MODEL", "REPLAY", "ANOTHER_MODEL"} <= codes(checked(copy))


def test_a_model_that_does_not_grow_from_the_sums(copy):
    """Report and file agree, every member has it: the replay alone finds it."""
    model = copy / "run" / "model.json"
    content = json.loads(model.read_bytes())
    changed = json.dumps(content | {"name": "other"}).encode()
    report = json.loads((copy / "run" / "report.json").read_text())
    report["model"] = "sha256:" + hashlib.sha256(changed).hexdigest()
    model.write_bytes(changed)
    (copy / "run" / "report.json").write_text(json.dumps(report))
    for name in BANKS:
        (copy / name / "model.json").write_bytes(changed)
    assert codes(checked(copy)) == {"REPLAY"}


def test_a_missing_signature_of_the_plan(copy):
    path = copy / "run" / "plan.json"
    data = json.loads(path.read_text())
    data["signatures"].pop()
    path.write_text(json.dumps(data))
    assert "NOT_IN_FORCE" in codes(audit(copy / "run"))


def test_a_sum_of_few_members(copy):
    def few(entry):
        if entry.get("direction") == "opened":
            entry["what"]["members"] = entry["what"]["members"][:3]
        return entry

    rewrite(copy / "run", few)
    assert "THRESHOLD" in codes(audit(copy / "run"))


def _faulty(place, path, monkeypatch, change):
    """A run whose member `daiwa` sends something else than masked values; its signatures are right."""
    sealed = wire.seal

    def seal(domain, keys, header, arrays):
        if header.get("member") == "daiwa" and "masked/values" in arrays:
            arrays = {**arrays, "masked/values": change(np.asarray(arrays["masked/values"]))}
        return sealed(domain, keys, header, arrays)

    monkeypatch.setattr("hitoku.learning.door.seal", seal)
    model = {"depth": 5, "bins": 64, "trees": 4}
    world = Running(place, path, aggregation={"transcript": "full", "seconds": 20}, model=model)
    try:
        world.run()
    except Exception:  # what opens is no sum: the run may end before its plan
        pass
    finally:
        world.close()
    return audit(world.folder.path)


def test_plain_values_are_found(place, tmp_path, monkeypatch):
    report = _faulty(place, tmp_path, monkeypatch, lambda v: (v % 1000).astype(np.uint64))
    assert "NOT_UNIFORM" in codes(report)
    assert all("daiwa" in f.message for f in report.findings if f.code == "NOT_UNIFORM")


def test_a_mask_that_is_used_twice_is_found(place, tmp_path, monkeypatch):
    """All sums of a session under one mask: they open, nothing is there twice, and differences are plain."""
    monkeypatch.setattr(
        "hitoku.learning.aggregate.masks.sessions.session_context", lambda index, asked: b"always the same"
    )
    model = {"depth": 5, "bins": 64, "trees": 4}
    world = Running(place, tmp_path, aggregation={"transcript": "full", "seconds": 20}, model=model)
    world.run()
    world.close()
    report = audit(world.folder.path)
    assert "NOT_UNIFORM" in codes(report)
    assert any("difference" in finding.message for finding in report.findings)


def test_a_vector_that_is_sent_twice_is_found(place, tmp_path, monkeypatch):
    first = []

    def same(values):
        first.append(values.copy())
        known = [v for v in first[:-1] if len(v) == len(values)]
        return known[0] if known else values

    # What opens is noise then, and a driver that would notice must not end the run before the second sum.
    monkeypatch.setattr(
        "hitoku.learning.aggregate.masks.summer.MasksSummer._checked",
        lambda self, total, instruction, members: np.zeros(len(total), np.int64),
    )
    assert "REPEATED" in codes(_faulty(place, tmp_path, monkeypatch, same))


def test_values_that_are_called_open(place, tmp_path, monkeypatch):
    protected = wire.protected_bytes
    monkeypatch.setattr(
        "hitoku.learning.channel.protected_bytes",
        lambda arrays: {"open": sum(protected(arrays).values())},
    )
    world = Running(place, tmp_path)
    world.run()
    world.close()
    assert "OPEN_NUMBERS" in codes(audit(world.folder.path))
