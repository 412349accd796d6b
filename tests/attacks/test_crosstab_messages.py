"""A member that sends what it must not: the run ends with an error that names message and row, no value."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import base64
import json
import re

import pyarrow as pa
import pytest
from tests.unit.protections.crosstab.world import NAMES, World, inputs, keys, parameters, watch

from hitoku.errors import PeerError
from hitoku.hazmat import group
from hitoku.protections.crosstab.link import Link
from hitoku.protections.crosstab.masking import integers
from hitoku.protections.crosstab.terms import Offer

IDENTITY = bytes(32)
NOT_CANONICAL = b"\xff" * 32
"""Above the field's prime."""
NOT_A_POINT = b"\x01" + bytes(30) + b"\x7f"


def tampered(tmp_path, patch, name, change, **given):
    """A run in which the sender of a message changes its rows; what the other side says."""
    made = parameters(**given)
    world = World(tmp_path, made, inputs(made, 10, 30, 10))
    watch(patch, world)
    send = Link.send

    def sending(self, which, batches):
        if which == name:
            table = pa.Table.from_batches(list(batches))
            batches = change(table.combine_chunks(), self).to_batches()
        return send(self, which, batches)

    patch.setattr(Link, "send", sending)
    with pytest.raises(PeerError) as refused:
        world.run()
    words = str(refused.value)
    assert not re.search(r"[0-9a-f]{16}|b'", words)
    return words


def rows_of(table):
    return [row.as_py() for row in table.column("record")]


def records(rows):
    width = len(rows[0])
    return pa.table(
        {"record": group.records(b"".join(rows), width)},
        pa.schema([pa.field("record", pa.binary(width), nullable=False)]),
    )


def changing(change):
    """A change of a message's list of rows."""

    def work(table, link):
        rows = rows_of(table)
        made = change(rows)
        return records(rows if made is None else made)

    return work


def first_becomes(point, at=0):
    """The least record's point is replaced by a low one, so that the order stays."""

    def change(rows):
        rows[0] = rows[0][:at] + point + rows[0][at + 32 :]

    return changing(change)


def last_becomes(point):
    def change(rows):
        rows[-1] = point + rows[-1][32:]

    return changing(change)


def swapped(rows):
    rows[4], rows[5] = rows[5], rows[4]


def repeated(rows):
    rows[5] = rows[4]


def in_two_groups(rows):
    """One point of the first group put in its place of the second, instead of the one there."""
    second = next(k for k in range(1, len(rows)) if rows[k] < rows[k - 1])
    copy = rows[second // 2]
    place = next(k for k in range(second, len(rows)) if rows[k] > copy)
    rows[place] = copy


POINTS = [
    (first_becomes(IDENTITY), "the identity", 0),
    (last_becomes(NOT_CANONICAL), "not canonically encoded", -1),
    (first_becomes(bytes(31) + b"\x00"), "the identity", 0),
    (changing(swapped), "rising order", 5),
    (changing(repeated), "rising order", 5),
    (changing(in_two_groups), "stands there twice", None),
]


@pytest.mark.parametrize("name", ["points-a", "points-b"])
@pytest.mark.parametrize("case", range(len(POINTS)))
def test_points_that_are_none_or_out_of_order(tmp_path, monkeypatch, name, case):
    change, words, row = POINTS[case]
    said = tampered(tmp_path, monkeypatch, name, change)
    assert f"in message {name}" in said
    assert words in said
    if row is not None and row >= 0:
        assert f"(row {row})" in said
    elif row is not None:
        assert re.search(r"\(row [1-9][0-9]+\)", said)


@pytest.mark.parametrize("half", [1, 2, 3, 4])
@pytest.mark.parametrize(("bad", "words"), [(IDENTITY, "the identity"), (NOT_CANONICAL, "not canonically")])
def test_a_ciphertext_is_checked_whether_it_matches_or_not(tmp_path, monkeypatch, half, bad, words):
    def change(rows):
        rows[7] = rows[7][: 32 * half] + bad + rows[7][32 * half + 32 :]

    said = tampered(tmp_path, monkeypatch, "points-b", changing(change), sums=((0, 100), (0, 5)))
    assert "in message points-b" in said
    assert words in said
    assert "(row 7)" in said


def test_a_point_that_is_on_no_curve(tmp_path, monkeypatch):
    with pytest.raises(group.RecordError):
        group.check_points(group.records(NOT_A_POINT, 32))
    said = tampered(tmp_path, monkeypatch, "points-a", first_becomes(b"\x00" * 31 + b"\x01"))
    assert "in message points-a" in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (changing(swapped), "rising order"),
        (changing(repeated), "rising order"),
        (changing(in_two_groups), "stands there twice"),
        (changing(lambda rows: [*rows[:-1], b"\xff" * 12]), "not the beginning of an encoded point"),
    ],
)
def test_tags_out_of_order_repeated_or_impossible(tmp_path, monkeypatch, change, words):
    said = tampered(tmp_path, monkeypatch, "tags-a", change)
    assert "in message tags-a" in said
    assert words in said


@pytest.mark.parametrize("name", ["points-a", "points-b", "tags-a"])
@pytest.mark.parametrize(
    "change", [lambda rows: rows[:-1], lambda rows: [*rows, rows[-1]], lambda rows: rows * 2]
)
def test_more_or_fewer_records_than_offered(tmp_path, monkeypatch, name, change):
    tampered(tmp_path, monkeypatch, name, changing(change))


def cell(column, number, value):
    def change(table, link):
        cells = table.column(column).to_pylist()
        cells[number] = value
        kind = table.schema.field(column).type
        made = integers("q", cells) if kind == pa.int64() else group.records(b"".join(cells), 64)
        return table.set_column(table.schema.get_field_index(column), table.schema.field(column), made)

    return change


def ciphertext_of(value):
    key = group.new_elgamal_key()
    return group.encrypt(integers("q", [value]), key)[0].as_py()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (cell("count", 1, 10**6), "an impossible count (row 1)"),
        (cell("count", 3, -(10**6)), "an impossible count (row 3)"),
        (cell("sum0", 2, bytes(64)), "(row 2)"),
        (cell("sum0", 0, b"\xff" * 64), "not canonically encoded (row 0)"),
        (cell("sum0", 1, ciphertext_of(0)), "not in the range of the table (row 1)"),
    ],
)
def test_cells_that_cannot_be(tmp_path, monkeypatch, change, words):
    said = tampered(tmp_path, monkeypatch, "cells-a", change)
    assert "in message cells-a" in said
    assert words in said


@pytest.mark.parametrize("value", [2**62, -(2**62), 10**6])
def test_sums_that_cannot_be(tmp_path, monkeypatch, value):
    said = tampered(tmp_path, monkeypatch, "sums-b", cell("sum0", 2, value))
    assert "in message sums-b: an impossible sum (row 2)" in said


# --- offers ---


def offered(tmp_path, patch, side, change, **given):
    """A run in which a side sends another offer."""

    def work(table, link):
        data = change(json.loads(table.column("json")[0].as_py()), link)
        content = data if isinstance(data, bytes) else dump(data)
        return pa.table(
            {"json": pa.array([content], pa.binary())},
            pa.schema([pa.field("json", pa.binary(), nullable=False)]),
        )

    return tampered(tmp_path, patch, f"offer-{side}", work, **given)


def dump(data):
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def signed(side, change):
    """A change of an offer that its member signs."""

    def work(data, link):
        change(data)
        data["signature"] = ""
        bare = Offer.model_validate_json(dump(data))
        data["signature"] = base64.b64encode(keys(side).sign(bare._message())).decode()
        return data

    return work


def altered(data, link):
    data["sizes"][0] += 1
    return data


def by_another(data, link):
    offer = Offer.model_validate_json(dump(data))
    data["signature"] = base64.b64encode(keys("a").sign(offer._message())).decode()
    return data


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (altered, "not signed with the key"),
        (by_another, "not signed with the key"),
        (lambda data, link: {**data, "signature": "AAAA"}, "not signed with the key"),
        (lambda data, link: dump(data) + b" ", "not its offer"),
        (lambda data, link: json.dumps(data).encode(), "not its offer"),
        (lambda data, link: {**data, "more": 1}, "not its offer"),
        (lambda data, link: {**data, "party": "a"}, "not its offer"),
        (lambda data, link: b"[" * 100_000, "not its offer"),
        (lambda data, link: b"\xff", "not its offer"),
        (signed("b", lambda data: data.update(parameters="sha256:" + "9" * 64)), "other parameters"),
        (signed("b", lambda data: data["sizes"].append(500)), "a size for each"),
        (signed("b", lambda data: data["sizes"].pop()), "a size for each"),
        (signed("b", lambda data: data.update(sizes=[1, 1])), "too small"),
        (signed("b", lambda data: data.update(sizes=[200_000_000] * 2)), "the limit is 250,000,000"),
        (signed("b", lambda data: data.update(public="00" * 32)), "the identity"),
        (signed("b", lambda data: data.update(public="ff" * 32)), "not canonically encoded"),
        (signed("b", lambda data: data.pop("public")), "none where one belongs"),
    ],
)
def test_an_offer_that_is_not_as_it_must_be(tmp_path, monkeypatch, change, words):
    assert words in offered(tmp_path, monkeypatch, "b", change)


def test_a_side_without_values_has_no_key(tmp_path, monkeypatch):
    change = signed("a", lambda data: data.update(public=group.new_elgamal_key().public.hex()))
    assert "where none belongs" in offered(tmp_path, monkeypatch, "a", change)


def test_members_who_mean_different_runs_do_not_begin(tmp_path, monkeypatch):
    made = parameters()
    world = World(tmp_path, made, inputs(made, 5, 5, 5))
    watch(monkeypatch, world)
    other = parameters(run=made.run, question="sha256:" + "7" * 64)
    party = World.party

    def mine(self, side, **changes):
        return party(self, side, parameters=other if side == "a" else made)

    monkeypatch.setattr(World, "party", mine)
    with pytest.raises(PeerError, match="other parameters"):
        world.run()
    assert "points-a" not in world.fetched
    assert "points-b" not in world.fetched


def test_the_messages_of_one_run_are_of_no_use_in_another(tmp_path, monkeypatch):
    """A replay of another run's records has points under other terms: nothing matches, and counts show it."""
    first = parameters()
    people = inputs(first, 0, 60, 0)
    world = World(tmp_path / "one", first, people)
    watch(monkeypatch, world)
    kept: dict[str, pa.Table] = {}
    send = Link.send

    def keeping(self, name, batches):
        batches = list(batches)
        if name == "tags-a" and name in kept:
            # As many records as this run's have; from the run before.
            table = pa.Table.from_batches(batches)
            old = rows_of(kept[name])
            if len(old) >= table.num_rows:
                batches = records(sorted(old)[: table.num_rows]).to_batches()
        kept.setdefault(name, pa.Table.from_batches(batches))
        return send(self, name, batches)

    monkeypatch.setattr(Link, "send", keeping)
    world.run()
    one = parameters(groups_a=1, groups_b=1)
    again = World(tmp_path / "two", one, inputs(one, 0, 10, 0))
    watch(monkeypatch, again)
    a = again.run()[0]
    # Nothing matches: what is left is noise alone, below zero by m.
    assert a.counts[0] == again.draws["a"].counts[0] - one.m


def test_who_is_who_comes_from_the_room(tmp_path, monkeypatch):
    assert NAMES["a"] != NAMES["b"]
    made = parameters()
    world = World(tmp_path, made, inputs(made, 5, 5, 5))
    watch(monkeypatch, world)
    party = World.party
    monkeypatch.setattr(World, "party", lambda self, side: party(self, side, peer_key=keys(side).public))
    with pytest.raises(PeerError, match="not signed"):
        world.run()
