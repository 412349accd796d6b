# SPDX-License-Identifier: Apache-2.0
"""Hostile folders, plans, models, data and restarts around a learning run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil

import numpy as np
import pytest
from tests.unit.learning.learning_world import BANKS, make_room, rows
from tests.unit.learning.test_audit import rewrite
from tests.unit.learning.test_server import RUN, Running

from hitoku.errors import HitokuError, InputError, PeerError, Refusal, RoomError
from hitoku.learning.audit import audit
from hitoku.learning.bank import Bank, make_tasks
from hitoku.learning.folders import RunFolder
from hitoku.learning.invitation import Invitation
from hitoku.learning.models import FORMAT, read_model
from hitoku.learning.server import Server
from hitoku.learning.signing import SignedPlan
from hitoku.node.learning_run import join_run
from hitoku.ports import SystemClock


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_room(tmp_path_factory.mktemp("room"))


@pytest.fixture(scope="module")
def done(place, tmp_path_factory):
    path = tmp_path_factory.mktemp("audited")
    world = Running(place, path, aggregation={"transcript": "full", "seconds": 20}, guard={"every": 2})
    world.run()
    world.close()
    return path


@pytest.fixture
def copy(done, tmp_path):
    shutil.copytree(done, tmp_path / "run")
    return tmp_path / "run"


def codes(report):
    return {finding.code for finding in report.findings}


def checked(path, members=BANKS):
    return audit(path / "run", [path / name for name in members])


# --- the audit: an auditor reads a folder that the server made ---


def test_what_a_line_says_of_a_message_is_compared_with_the_member(copy):
    """Open numbers that the server calls masked, other kinds and lengths: the member's own line tells."""

    def lie(entry):
        if entry.get("direction") == "received" and entry["kind"] == "masks.keys":
            entry["protected"] = {"open": 0, "masked": entry["bytes"]}
        return entry

    shutil.rmtree(copy / "run" / "payloads")
    assert checked(copy).holds
    rewrite(copy / "run", lie)
    assert "OTHER_LINE" in codes(checked(copy))


def test_an_answer_that_the_server_left_out_without_a_word(copy):
    left = []

    def drop(entry):
        if (
            entry.get("direction") == "received"
            and entry["member"] == "chiyo"
            and entry["kind"] == "masks.sum"
        ):
            left.append(entry)
            return None if len(left) == 2 else entry
        return entry

    rewrite(copy / "run", drop)
    report = checked(copy)
    assert not report.holds or any("answers that the server did not take" in n for n in report.notices)
    assert "SUM" in codes(report)


def test_a_report_that_says_resumed_does_not_hide_another_model(copy):
    """A server that grew another model can only say it was restarted: no model is then called checked."""
    path = copy / "run" / "report.json"
    said = json.loads(path.read_text())
    said["events"].append({"event": "resumed", "done": 1})
    path.write_text(json.dumps(said))
    report = checked(copy)
    assert report.facts["replayed"] is False
    assert any("could not be grown again" in notice for notice in report.notices)


@pytest.mark.parametrize(
    "events",
    [
        [1],
        "x",
        [{"event": "vote"}],
        [{"event": "vote", "votes": 3}],
        [{"event": "vote", "votes": [{}]}],
        None,
    ],
    ids=["number", "text", "no-votes", "votes-number", "votes-empty", "null"],
)
def test_a_malformed_report_is_a_finding_or_a_notice(copy, events):
    path = copy / "run" / "report.json"
    said = json.loads(path.read_text())
    said["events"] = events
    path.write_text(json.dumps(said))
    report = audit(copy / "run")
    assert not report.facts.get("replayed") or report.holds


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 200_000,
        b"\xff\xfe",
        b"{}",
        b'{"n": 1e400}',
        b'{"direction": "opened", "what": {"members": [[1]]}}',
        b'{"direction": "opened", "what": {"members": 5}}',
        b'{"direction": "opened", "what": 5}',
        b'{"direction": ["sent"]}',
    ],
    ids=["deep", "bytes", "empty", "infinite", "lists", "number", "what", "direction"],
)
def test_hostile_lines_are_findings(copy, line):
    path = copy / "run" / "transcript.jsonl"
    content = path.read_bytes()
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        path.write_bytes(content + line + b"\n")
    else:
        last = content.rstrip(b"\n").rsplit(b"\n", 1)[-1]
        entry |= {"n": json.loads(last)["n"] + 1, "previous": hashlib.sha256(last).hexdigest()}
        path.write_bytes(content + json.dumps(entry).encode() + b"\n")
    assert not audit(copy / "run").holds


def test_a_sum_is_read_from_the_payloads_alone(copy, tmp_path):
    """A digest that is a path leads out of the folder."""
    outside = tmp_path / "outside"
    os.mkfifo(outside)  # reading it would never end

    def lead(entry):
        if entry.get("direction") == "opened":
            entry["sha256"] = str(outside)
        return entry

    rewrite(copy / "run", lead)
    assert not audit(copy / "run").holds


def test_payloads_that_are_links_out_of_the_folder(copy, tmp_path):
    first = sorted((copy / "run" / "payloads").iterdir())[0]
    first.unlink()
    first.symlink_to("/dev/zero")
    assert not audit(copy / "run").holds


def test_a_forged_sum_and_a_model_of_it(copy):
    forged = []

    def change(entry):
        if entry.get("direction") == "opened" and entry["kind"] == "masks.sum":
            path = copy / "run" / "payloads" / entry["sha256"]
            values = np.frombuffer(path.read_bytes(), "<i8").copy()
            values[0] += 1
            entry["sha256"] = hashlib.sha256(values.tobytes()).hexdigest()
            (path.parent / entry["sha256"]).write_bytes(values.tobytes())
            forged.append(entry)
        return entry

    rewrite(copy / "run", change)
    assert forged
    assert "SUM" in codes(checked(copy))


def test_two_transcripts_of_one_run(copy):
    """Messages of a second transcript are missing in the one that is shown."""
    rewrite(copy / "run", lambda entry: None if entry.get("n", 0) > 60 else entry)
    assert "HIDDEN" in codes(checked(copy))


# --- models ---


def model_file(change):
    tree = {"feature": [0, -1, -1], "threshold": [0.5, 0, 0], "missing_left": [0, 0, 0], "value": [0, 1, 2]}
    data = {
        "format": FORMAT,
        "kind": "boosting",
        "name": "m",
        "plan": "0" * 64,
        "features": ["a"],
        "model": {"base": 0.0, "trees": [tree]},
    }
    change(data)
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    data["sha256"] = hashlib.sha256(
        FORMAT.encode() + b"\n" + text.encode("utf-8", "surrogatepass")
    ).hexdigest()
    return json.dumps(data).encode()


CHANGES = {
    "nan": lambda d: d["model"]["trees"][0]["value"].__setitem__(1, float("nan")),
    "infinite": lambda d: d["model"].__setitem__("base", float("inf")),
    "huge-number": lambda d: d["model"]["trees"][0]["value"].__setitem__(1, 10**400),
    "huge-feature": lambda d: d["model"]["trees"][0]["feature"].__setitem__(0, 10**30),
    "feature": lambda d: d["model"]["trees"][0]["feature"].__setitem__(0, 1),
    "bool": lambda d: d["model"]["trees"][0]["feature"].__setitem__(0, True),
    "short": lambda d: d["model"]["trees"][0]["feature"].append(0),
    "cycle": lambda d: d["model"]["trees"][0].update(feature=[0, 0, 0]),
    "deep": lambda d: d["model"]["trees"][0].update(
        feature=[0, *[-1, 0] * 11, -1, -1], threshold=[0] * 25, missing_left=[0] * 25, value=[0] * 25
    ),
    "many": lambda d: d["model"].update(trees=d["model"]["trees"] * 2001),
    "kind": lambda d: d.update(kind="../../x"),
    "kind-list": lambda d: d.update(kind=["boosting"]),
    "names": lambda d: d.update(features=["a", "a"]),
    "surrogate": lambda d: d.update(name="\ud800"),
    "linear-empty": lambda d: d.update(kind="linear", model={}),
    "perceptron-huge": lambda d: d.update(
        kind="perceptron", model={"layers": [10**9], "weights": [1.0], "mean": [0.0], "scale": [0.0]}
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_hostile_models_are_refused(change):
    assert read_model(model_file(lambda d: None)).kind == "boosting"
    with pytest.raises(InputError):
        read_model(model_file(change))


# --- plans and folders ---


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        b'{"format": "hitoku/learning-plan/1", "plan": {"salt": 1}}',
        b'{"format": "hitoku/learning-plan/1", "plan": {}, "signatures": [[]]}',
        b'{"format": "hitoku/learning-plan/1", "plan": {}, "signatures": {"a": 1}}',
        b"a: &a [*a]",
        b"\xff\xfe\x00",
        b"format: !!python/object/apply:os.system [id]",
        b"{" + b" " * 10_000_000,
    ],
    ids=["nothing", "list", "deep", "salt", "lists", "mapping", "cycle", "bytes", "object", "large"],
)
def test_hostile_plan_files(tmp_path, content):
    (tmp_path / "plan.json").write_bytes(content)
    with pytest.raises(HitokuError):
        SignedPlan.load(tmp_path / "plan.json")


@pytest.mark.parametrize(
    "name",
    ["../x", "a/b", "a\x00b", ".", "A" * 500, "a\nb"],
    ids=["up", "slash", "zero", "dot", "long", "line"],
)
def test_names_are_no_paths(place, name):
    with pytest.raises(HitokuError):
        place.plan(name=name)


def test_two_servers_of_one_folder(place, tmp_path):
    world = Running(place, tmp_path)
    try:
        keys = place.members["adder"].keys({})
        with Server(world.folder, world.fleet, keys), pytest.raises(HitokuError):
            Server(RunFolder.open(world.folder.path), world.fleet, keys)
    finally:
        world.close()


def test_two_banks_of_one_folder(place, tmp_path):
    world = Running(place, tmp_path)
    try:
        state = tmp_path / "aki"
        tasks = make_tasks(world.plan, rows(1), state)
        with pytest.raises(HitokuError):
            Bank(world.plan, RUN, "aki", place.members["aki"].keys({}), place.publics, tasks, state)
    finally:
        world.close()


def test_a_bank_says_nothing_to_another_run(place, tmp_path):
    world = Running(place, tmp_path)
    try:
        other = RunFolder.create(tmp_path / "other", "c" * 32, "adder", world.signed, place.room)
        with Server(other, world.fleet, place.members["adder"].keys({})) as server:
            with pytest.raises(HitokuError):
                server.run()
            assert server.channel.received_bytes == 0
    finally:
        world.close()


def test_a_folder_of_a_plan_that_not_all_signed(place, tmp_path):
    signed = place.signed(place.plan())
    for name in signed.signers:
        less = SignedPlan(signed.plan, {n: s for n, s in signed.signatures.items() if n != name})
        with pytest.raises(RoomError):
            RunFolder.create(tmp_path / name, RUN, "aki", less, place.room)
        assert not (tmp_path / name).exists()


def test_nothing_of_the_rows_or_keys_is_in_any_file(done, place):
    """Rows are normal floats: any eight bytes of a row in a file would be the row."""
    secrets = [place.members[name].path for name in BANKS]
    keys = [path.read_bytes() for folder in secrets for path in folder.rglob("*key*") if path.is_file()]
    assert keys
    for file in done.rglob("*"):
        if not file.is_file():
            continue
        content = file.read_bytes()
        for key in keys:
            body = b"".join(key.splitlines()[1:-1]) or key.strip()
            assert body[:40] not in content
        for seed in range(len(BANKS)):
            for row in rows(seed).features[:50]:
                assert row[:2].tobytes() not in content
                assert repr(float(row[0])).encode()[:12] not in content


# --- data, budgets and state of a bank ---

DATA = {
    "label-two": "x0,x1,x2,fraud\n1,2,3,2\n",
    "label-missing": "x0,x1,x2,fraud\n1,2,3,\n",
    "label-nan": "x0,x1,x2,fraud\n1,2,3,nan\n",
    "text": "x0,x1,x2,fraud\n1,geheim,3,1\n",
    "infinite": "x0,x1,x2,fraud\n1,1e39,3,1\n",
    "columns": "x0,x1,fraud\n1,2,1\n",
    "twice": "x0,x1,x2,x2,fraud\n1,2,3,4,1\n",
    "no-rows": "x0,x1,x2,fraud\n",
    "too-many": "x0,x1,x2,fraud\n" + "1,2,3,1\n" * 2001,
    "nothing": "",
}


@pytest.fixture
def joining(tmp_path):
    """A bank that joins a run whose server is not there: it gets as far as its rows."""
    place = make_room(tmp_path)
    signed = place.signed(place.plan(privacy={"rho": 0.25, "unit": "customer"}))
    invitation = Invitation(signed.hash, RUN, "127.0.0.1:1", "none")
    invitation.save(tmp_path / "server.json", place.members["adder"].keys({}))

    def join(data, state=None, plan=signed):
        bank = place.members["aki"]
        return join_run(bank, place.room, plan, tmp_path / "server.json", data, state=state, patience=0.1)

    return place, signed, join


def spent(place):
    clock = SystemClock()
    records = place.members["aki"].records(str(place.agreement.id), clock)
    return records.accounts(place.agreement)[0].rho


@pytest.mark.parametrize("content", DATA.values(), ids=DATA.keys())
def test_hostile_data_end_the_bank_with_an_error_that_shows_no_value(joining, tmp_path, content):
    place, _, join = joining
    (tmp_path / "rows.csv").write_text(content)
    with pytest.raises(HitokuError) as caught:
        join(str(tmp_path / "rows.csv"))
    assert "geheim" not in str(caught.value)
    assert "1e39" not in str(caught.value)
    assert not any(b"geheim" in f.read_bytes() for f in place.members["aki"].path.rglob("*") if f.is_file())


def test_a_run_is_charged_before_rows_are_read_and_once(joining, tmp_path):
    place, _, join = joining
    for _ in range(3):
        with pytest.raises(HitokuError):
            join(str(tmp_path / "there-is-none.csv"))
        assert spent(place) == 25 * 10**10


def test_a_bank_whose_folder_of_the_run_is_gone_gives_nothing(joining, tmp_path):
    """What it contributed is known in that folder alone: anew, sums over other sets would show it."""
    place, _, join = joining
    with pytest.raises(HitokuError):
        join(str(tmp_path / "none.csv"))
    with pytest.raises(Refusal) as caught:
        join(str(tmp_path / "none.csv"), state=tmp_path / "elsewhere")
    assert caught.value.code == "LEARNING_STATE"
    assert not (tmp_path / "elsewhere").exists()
    shutil.rmtree(place.members["aki"].path / "learning")
    with pytest.raises(Refusal) as caught:
        join(str(tmp_path / "none.csv"))
    assert caught.value.code == "LEARNING_STATE"
    assert spent(place) == 25 * 10**10


def test_nothing_is_begun_with_a_plan_that_not_all_signed(joining, tmp_path):
    place, signed, join = joining
    for name in signed.signers:
        kept = {n: s for n, s in signed.signatures.items() if n != name}
        with pytest.raises(RoomError):
            join(str(tmp_path / "none.csv"), plan=SignedPlan(signed.plan, kept))
    assert spent(place) == 0
    assert not (place.members["aki"].path / "learning").exists()


def test_an_invitation_of_another_server(joining, tmp_path):
    place, signed, join = joining
    invitation = Invitation(signed.hash, RUN, "127.0.0.1:1", "none")
    invitation.save(tmp_path / "server.json", place.members["benten"].keys({}))
    with pytest.raises(PeerError):
        join(str(tmp_path / "none.csv"))
    assert spent(place) == 0


@pytest.mark.parametrize(
    "body",
    [
        {"steps": 1.5},
        {"steps": True},
        {"steps": "A" * 10_000},
        {"steps": -1},
        {"steps": 1, "stopped": {"a": 1}},
    ],
    ids=["fraction", "bool", "text", "negative", "mapping"],
)
def test_the_end_that_a_bank_writes_down_is_a_number_of_steps(tmp_path, body):
    from hitoku.learning.bank import _End

    with pytest.raises(Refusal):
        _End(tmp_path).told({"do": "end", **body}, {"model": np.zeros(3, np.uint8)})
    assert not list(tmp_path.iterdir())
