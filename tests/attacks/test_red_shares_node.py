# SPDX-License-Identifier: Apache-2.0
"""What an asker or a receiver can read from sizes in a run on shares, and what is given out twice.

A receiver sees the types of the columns that it opens and the name of what was computed; servers see the
manifests. None of it may depend on single rows through what the asker wrote: that would be an answer about
one person, past every threshold.
"""

from __future__ import annotations

import importlib
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.attacks.test_shares_node import consented, failed, nodes, offer
from tests.sharing import JOIN, World, agreement_data, make, tables

from hitoku.ask.common import examine
from hitoku.ask.work import Computed, Work
from hitoku.errors import Refusal
from hitoku.node import uploads
from hitoku.protections.base import Unsupported
from hitoku.protections.shares.leakage import shares_leakage
from hitoku.protections.shares.manifest import Manifest, check_manifest
from hitoku.protections.shares.naming import program_hash, run_name
from hitoku.protections.shares.operators.layout import ColumnLayout
from hitoku.protections.shares.output.parts import ColumnHead
from hitoku.protections.shares.planning import Draft, draft, program
from hitoku.protections.shares.program import Type
from hitoku.protections.shares.upload.make import Binding
from hitoku.protections.shares.upload.make import make as share
from hitoku.sources.table import TableSource

SIXTEEN = " ".join(f"WHEN c.region = 'region {n}' THEN 'label {n}'" for n in range(16))
LABELS = f"CASE {SIXTEEN} WHEN c.region = 'target' THEN 'one more' ELSE 'label 0' END"
LONG = f"CASE WHEN c.region = 'target' THEN '{'x' * 400}' ELSE 'a' END"
FIRST = ", ".join(f"'region {n}'" for n in range(16))
PEOPLE = "COUNT(DISTINCT c.phone) AS people"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("red"))


@pytest.fixture
def fresh(tmp_path: Path) -> World:
    return make(tmp_path)


def customers(target: bool) -> pa.Table:
    """72 people in 17 regions; one of them is the target, or is not."""
    regions = [f"region {n % 17}" for n in range(72)]
    if target:
        regions[5] = "target"
    return pa.table(
        {"phone": [str(n) for n in range(72)], "region": regions, "spend": pa.array([1] * 72, pa.int32())}
    )


def told(world: World, sql: str, table: pa.Table, place: Path) -> tuple[Any, ...]:
    """What the owner's manifest says of sizes."""
    place.mkdir()
    manifest = manifest_of(world, sql, table, place)
    return manifest.rows, manifest.leaves, manifest.keys


def manifest_of(world: World, sql: str, table: pa.Table, place: Path) -> Manifest:
    examined = examine(sql, world.room, "shop", ["shop"])
    made = draft(examined.question, examined.plan, world.room)
    assert isinstance(made, Draft)
    question = examined.question
    binding = Binding(question.room_hash, "ab" * 16, question.hash, examined.plan.hash)
    keys = world.members["shop"].keys({})
    done = share(made.table("customers"), TableSource(table), {}, place / "share-0", binding, keys)
    check_manifest(
        done.manifest,
        world.room.agreement,
        table="customers",
        room=binding.room,
        run=binding.run,
        question=binding.question,
        plan=binding.plan,
    )
    return done.manifest


@pytest.mark.slow
@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT {LONG} AS k, {PEOPLE} {JOIN} GROUP BY {LONG}",
        f"SELECT {LABELS} AS k, {PEOPLE} {JOIN} GROUP BY {LABELS}",
        f"SELECT COUNT(DISTINCT c.phone) AS people, s.plan {JOIN} GROUP BY s.plan, {LABELS}",
        f"SELECT {LABELS} AS k, {PEOPLE} FROM customers c GROUP BY {LABELS}",
        f"SELECT c.region, {PEOPLE} FROM customers c WHERE c.region IN ({FIRST}, 'target') GROUP BY c.region",
        f"SELECT c.region, {PEOPLE} FROM customers c WHERE c.region = 'target' GROUP BY c.region",
    ],
    ids=["longest text", "texts", "ranks", "texts of an owner's groups", "conditions", "no group"],
)
def test_sizes_do_not_tell_whether_one_person_is_there(world: World, tmp_path: Path, sql: str) -> None:
    """A text, a label or a group that only one row can make shows in no size that anybody is told."""
    without = told(world, sql, customers(False), tmp_path / "without")
    table = customers(True)
    # As many regions as before: the number of texts of a column, as a whole, may be told.
    assert len(set(table["region"].to_pylist())) == 18
    assert without == told(world, sql, table, tmp_path / "with")


@pytest.mark.slow
def test_the_number_of_an_owner_s_groups_does_not_tell_what_a_condition_leaves(tmp_path: Path) -> None:
    """65 groups and not 64: whether the asker's condition leaves one more group must not show."""
    data = agreement_data()
    data["tables"][0]["rule"]["dimensionColumns"] = ["region", "spend"]
    data["tables"][0]["rule"]["aggregateColumns"] = data["tables"][0]["rule"]["aggregateColumns"][:1]
    made = make(tmp_path / "room", data)
    where = "c.spend < 64 OR c.region = 'target'"
    sql = f"SELECT c.spend, {PEOPLE} FROM customers c WHERE {where} GROUP BY c.spend"
    spend = pa.array(list(range(72)), pa.int32())
    found = [
        told(made, sql, customers(target).set_column(2, "spend", spend), tmp_path / str(target))
        for target in (False, True)
    ]
    table = customers(True).set_column(2, "spend", spend)
    regions = table["region"].to_pylist()
    regions[5], regions[70] = regions[70], "target"
    there = table.set_column(1, "region", pa.array(regions))
    assert found[0] == found[1] == told(made, sql, there, tmp_path / "there")


def test_a_text_that_is_too_long_is_refused_before_anything_is_charged(world: World) -> None:
    """At the owner it would fail where a row makes it, and so tell whether one does."""
    longer = LONG.replace("x" * 400, "x" * 1100)
    sql = f"SELECT {longer} AS k, {PEOPLE} {JOIN} GROUP BY {longer}"
    with pytest.raises(Refusal) as caught:
        examine(sql, world.room, "shop", ["shop"])
    assert caught.value.code == "NO_PROTECTION"
    made = draft(examine(sql.replace("x" * 700, ""), world.room, "shop", ["shop"]).question, None, world.room)
    assert not isinstance(made, Unsupported)


def test_a_receiver_does_not_hear_how_many_texts_there_are() -> None:
    """Nor those of withheld groups: the bounds of a text's codes say nothing."""
    heads = [
        ColumnHead.of(
            ColumnLayout("g1", Type("code", 0, high, dictionary="t.0"), "text", ("u64", "u64"), nullable=True)
        )
        for high in (15, 31)
    ]
    assert heads[0] == heads[1]


@pytest.mark.slow
def test_what_was_computed_has_no_name_that_can_be_guessed(world: World, tmp_path: Path) -> None:
    """A receiver gets the name, and could make programs of all sizes until one has it."""
    sql = f"SELECT c.region, {PEOPLE} FROM customers c GROUP BY c.region"
    examined = examine(sql, world.room, "shop", ["shop"])
    made = draft(examined.question, examined.plan, world.room)
    assert isinstance(made, Draft)
    names, programs = set(), set()
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        manifest = manifest_of(world, sql, customers(True), tmp_path / place)
        computed = program(made, {"customers": manifest})
        programs.add(program_hash(computed))
        names.add(run_name(computed, {"customers": manifest.hash}))
    assert len(programs) == 1
    assert len(names) == 2


@pytest.mark.slow
def test_an_owner_that_gives_servers_different_manifests_is_noticed_before_anything_is_computed(
    fresh: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same sizes, other seeds: shares of two uploads would be added up as if they were of one."""
    from hitoku.protections.shares.manifest import sign_manifest

    given = uploads.Uploads._offered

    def other(self: uploads.Uploads, table: str, name: str, made: Any, server: int) -> Any:
        if server == 2 and self._directory.name == "telco":
            seeds = (made.manifest.seeds[0], "0" * 64)
            manifest = sign_manifest(self._keys(), made.manifest.model_copy(update={"seeds": seeds}))
            made = replace(made, manifest=manifest)
        return given(self, table, name, made, server)

    monkeypatch.setattr(uploads.Uploads, "_offered", other)
    failed(fresh, "RUN_ABORTED", "another program")


def test_parts_are_made_once_however_often_the_leader_asks_at_a_time() -> None:
    """Two sets of parts of one run have two salts and times: a leader could choose between them."""
    work = Work.__new__(Work)
    Work.__init__(work, None, None)  # type: ignore[arg-type]
    work.computed = Computed(None, "", None, ())  # type: ignore[arg-type]
    found: list[Computed | None] = []
    begin = threading.Barrier(4)

    def ask() -> None:
        begin.wait()
        found.append(work.take())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one is not None for one in found) == 1


@pytest.mark.slow
def test_what_nobody_settles_is_not_kept_for_ever(fresh: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader that is gone for good would leave seeds and the third share at every owner."""
    found = nodes(fresh)
    run = consented(found, fresh)
    deadline = time.monotonic() + 300
    while found["lab"].peers.call("telco", offer(fresh, run))["tables"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert fresh.left() != []
    monkeypatch.setattr(uploads, "_KEPT_SECONDS", -1)
    with pytest.raises(Refusal) as caught:
        found["telco"].shelves.parcel("telco", run, "share-0")
    assert caught.value.code in {"NO_SUCH_PARCEL", "RUN_ENDED"}
    assert fresh.left() == []
    with pytest.raises(Refusal) as caught:
        found["lab"].peers.call("telco", offer(fresh, run))
    assert caught.value.code == "RUN_ENDED"
    assert not found["telco"].shares.uploads.knows(run)


def test_what_sizes_tell_is_said(world: World) -> None:
    """Servers learn lengths of texts and copies of keys; receivers learn bounds from columns' types."""
    examined = examine(f"SELECT s.plan, {PEOPLE} {JOIN} GROUP BY s.plan", world.room, "shop", ["shop"])
    learned = shares_leakage(examined.question, world.room).learned
    lab = " ".join(one.words for one in learned if one.member == "lab")
    for words in ("how long", "repeated", "missing", "rounded"):
        assert words in lab
    sizes = [one for one in learned if one.member == "telco" and one.code == "TYPES"]
    assert len(sizes) == 1


@pytest.mark.slow
@pytest.mark.parametrize("target", [False, True])
def test_an_asker_sees_no_difference_in_what_it_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: bool
) -> None:
    """With and without the one person, the columns that arrive have the same types and the same rows."""
    combining = importlib.import_module("hitoku.protections.shares.output.combine")
    from hitoku.protections.shares.output.parts import decode

    heads: list[Any] = []
    own = combining.combine

    def seen(contents: Any, *rest: Any) -> Any:
        heads.append(decode(contents[0], "shop").head.branches)
        return own(contents, *rest)

    monkeypatch.setattr(combining, "combine", seen)
    rows = tables()
    regions = ["region 0"] * 72
    regions[5] = "target" if target else "region 0"
    rows["customers"] = rows["customers"].set_column(1, "region", pa.array(regions))
    made = make(tmp_path / "room", content=rows)
    made.handle().ask(f"SELECT {LONG} AS k, {PEOPLE} {JOIN} GROUP BY {LONG}")
    ((branch,),) = heads
    assert branch.rows == 1
    assert [column.words for column in branch.columns] == [64, 1]


@pytest.mark.parametrize(
    ("far", "bounds"),
    [
        ("DATEADD('YEAR', 200000, day)", (-(2**63), 2**63 - 1)),
        ("CAST(DATEADD('YEAR', 9000, day) AS DATE)", (-(2**31), 2**31 - 1)),
        ("CAST(CASE WHEN k = 'x' THEN '99999-01-01' END AS DATE)", (-(2**31), 2**31 - 1)),
        ("EXTRACT(YEAR FROM DATEADD('YEAR', 20000, day))", (-6_000_000, 6_000_000)),
    ],
    ids=["timestamp", "date", "read", "year"],
)
def test_no_date_that_an_asker_makes_fails_at_its_owner(far: str, bounds: tuple[int, int]) -> None:
    """It would fail where the one row is, and so tell that it is there: a failed run is an answer, too."""
    from tests.unit.protections.shares.planning.shapes import room

    then = f"CASE WHEN k = 'target' THEN {far} END"
    made = room()
    question = examine(
        f"SELECT {then} AS d, COUNT(*) AS n FROM sales GROUP BY {then}", made, "shop", ["shop"]
    )
    found = draft(question.question, question.plan, made)
    assert isinstance(found, Draft)
    leaf = found.table("sales").leaves[0]
    assert (leaf.low, leaf.high) == bounds
