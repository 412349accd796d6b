"""What either side sees of the other looks as it would without the other's data.

A distinguisher that fails proves nothing; these are the ones that a slip in the code would let succeed:
points in the order of the input, masks or randomness used twice, ids in files, messages that depend on
values.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import math
import random
from collections import Counter

import pyarrow as pa
import pytest
from tests.unit.protections.crosstab.world import Inputs, World, inputs, parameters, people, watch

from hitoku.hazmat import group
from hitoku.protections.crosstab.link import Link
from hitoku.protections.crosstab.masking import PERSONS
from hitoku.protections.crosstab.terms import Offer, Side, Terms


class Seen:
    """The messages of a run, and what both sides drew."""

    def __init__(self, path, patch, made, given, at=None):
        self.world = World(path, made, given)
        self.rows: dict[str, list[bytes]] = {}
        self.tables: dict[str, pa.RecordBatch] = {}
        send = Link.send

        def sending(link, name, batches):
            batches = list(batches)
            if "record" in batches[0].schema.names:
                self.rows[name] = [row.as_py() for batch in batches for row in batch.column(0)]
            else:
                self.tables[name] = batches[0]
            if at:
                at(self.world, name)
            return send(link, name, batches)

        with patch.context() as inner:
            watch(inner, self.world)
            inner.setattr(Link, "send", sending)
            self.figures = self.world.run()[0]

    @property
    def terms(self):
        offers = [
            Offer.model_validate_json(self.tables[f"offer-{side}"].column(0)[0].as_py())
            for side in ("a", "b")
        ]
        return Terms(self.world.given, *offers)

    def points(self, side, ids):
        """The points of these ids under a side's mask."""
        column = group.records(b"".join(ids), 32)
        key = group.load_key(self.world.draws[side].mask)
        return [p.as_py() for p in group.mask(column, key, domain=PERSONS, run=self.terms.run)]


def uniform(columns, name):
    """Bytes 1 to 10 of points and tags: chi-square over all of them together."""
    found = Counter(byte for row in columns for byte in row[1:11])
    count = sum(found.values())
    statistic = sum((found[byte] - count / 256) ** 2 / (count / 256) for byte in range(256))
    z = ((statistic / 255) ** (1 / 3) - (1 - 2 / (9 * 255))) / math.sqrt(2 / (9 * 255))
    assert abs(z) < 5.7, name


def correlation(order):
    """Spearman's, times the root of the length: nearly a standard normal number for random orders."""
    n = len(order)
    ranks = {value: rank for rank, value in enumerate(sorted(order))}
    apart = sum((ranks[value] - place) ** 2 for place, value in enumerate(order))
    return (1 - 6 * apart / (n * (n * n - 1))) * math.sqrt(n - 1)


@pytest.fixture
def given():
    return parameters(groups_a=1, groups_b=2, sums=((0, 100),))


def test_points_and_tags_are_bytes_like_any_whatever_the_input(tmp_path, given, monkeypatch):
    ids = people(2000)
    zero = Inputs([(one, 0, ()) for one in ids], [(one, 0, (0,)) for one in ids], 1)
    mixed = inputs(given, 1000, 500, 1000)
    for number, kind in enumerate((zero, mixed)):
        made = parameters(groups_a=1, groups_b=2, sums=((0, 100),))
        seen = Seen(tmp_path / f"{number}", monkeypatch, made, kind)
        for name in ("points-a", "points-b", "tags-a"):
            uniform(seen.rows[name], name)
        ciphertexts = [row[32:] for row in seen.rows["points-b"]]
        uniform(ciphertexts, "first halves")
        uniform([row[32:] for row in ciphertexts], "second halves")
        # As the simulator makes them, which knows sizes alone.
        uniform([p.as_py() for p in group.random_points(len(seen.rows["points-a"]))], "simulated")


def test_messages_have_the_length_that_the_sizes_say(tmp_path, given, monkeypatch):
    seen = Seen(tmp_path, monkeypatch, given, inputs(given, 10, 40, 10))
    terms = seen.terms
    assert len(seen.rows["points-a"]) == len(seen.rows["tags-a"]) == terms.total("a")
    assert len(seen.rows["points-b"]) == terms.total("b")
    assert {len(row) for row in seen.rows["points-b"]} == {96}
    assert {len(row) for row in seen.rows["tags-a"]} == {12}
    assert seen.tables["cells-a"].num_rows == given.cells
    sides: tuple[Side, ...] = ("a", "b")
    for side in sides:
        padding = seen.world.draws[side].padding
        least = given.least_size(side) * given.groups(side)
        assert terms.total(side) == 50 + least + sum(padding)


def test_the_same_people_look_different_in_every_run(tmp_path, given, monkeypatch):
    kind = inputs(given, 100, 100, 100)
    one, two = (
        Seen(tmp_path / f"{k}", monkeypatch, parameters(groups_a=1, groups_b=2), kind) for k in range(2)
    )
    for name in ("points-a", "points-b", "tags-a"):
        assert not {row[:12] for row in one.rows[name]} & {row[:12] for row in two.rows[name]}
        assert len(set(one.rows[name])) == len(one.rows[name])


def test_equal_values_do_not_show(tmp_path, given, monkeypatch):
    """Nor do dummies and padding, whose value is 0."""
    ids = people(300)
    same = Inputs([(one, 0, ()) for one in ids], [(one, 0, (0,)) for one in ids], 1)
    rows = Seen(tmp_path, monkeypatch, given, same).rows["points-b"]
    for at in (32, 64):
        assert len({row[at : at + 32] for row in rows}) == len(rows)


def test_order_tells_nothing(tmp_path, given, monkeypatch):
    """Neither where a person is in a list, nor which tag is whose."""
    ids = people(1500)
    seen = Seen(
        tmp_path,
        monkeypatch,
        given,
        Inputs([(one, 0, ()) for one in ids], [(one, 0, (1,)) for one in ids], 1),
    )
    ours = seen.points("a", ids)
    place = {row: k for k, row in enumerate(seen.rows["points-a"])}
    where = [place[point] for point in ours]
    assert abs(correlation(where)) < 6
    # Message 3: by place in message 1, which a knows, the place in message 3.
    beta = group.load_key(seen.world.draws["b"].mask)
    tags = [t.as_py() for t in group.tags(group.records(b"".join(ours), 32), beta)]
    at = {tag: k for k, tag in enumerate(seen.rows["tags-a"])}
    by_place = [at[tag] for _, tag in sorted(zip(where, tags, strict=True))]
    assert abs(correlation(by_place)) < 6
    # The measure itself notices an order that was kept.
    assert correlation(sorted(where)) > 6


def test_which_dummies_match_is_random(tmp_path, monkeypatch):
    """Side b does not take the first tau: whoever leaves the last ones out would change nothing."""
    import struct

    from hitoku.protections.crosstab.masking import DUMMIES

    # A window so wide that noise does not come to its ends, where all dummies match or none.
    given = parameters(groups_a=1, groups_b=2, sums=((0, 100),), delta0="1e-10")
    seen = Seen(tmp_path, monkeypatch, given, inputs(given, 0, 10, 0))
    key = group.load_key(seen.world.draws["b"].mask)
    there = {row[:32] for row in seen.rows["points-b"]}
    for cell in range(given.cells):
        names = [struct.pack(">III", 0, cell, i) + bytes(20) for i in range(given.dummies)]
        points = group.mask(group.records(b"".join(names), 32), key, domain=DUMMIES, run=seen.terms.run)
        taken = [point.as_py() in there for point in points]
        assert sum(taken) == seen.world.draws["b"].counts[cell]
        assert taken != sorted(taken, reverse=True)


def test_no_id_of_the_other_side_is_in_any_file(tmp_path, given, monkeypatch):
    kind = inputs(given, 50, 50, 50)
    of = {"a": [one for one, _, _ in kind.a], "b": [one for one, _, _ in kind.b]}
    found: Counter[str] = Counter()

    def look(world, name):
        for side in ("a", "b"):
            other = "b" if side == "a" else "a"
            files = [p for p in (world.path / side).rglob("*") if p.is_file()]
            for file in files:
                try:
                    content = file.read_bytes()
                except FileNotFoundError:
                    continue
                found["files"] += 1
                found["own"] += file.name == "input.arrow" and of[side][0] in content
                for one in set(of[other]) - set(of[side]):
                    assert one not in content
                    assert one.hex().encode() not in content
                if not file.name.startswith("input.arrow"):
                    assert not any(one in content for one in of[side])

    Seen(tmp_path, monkeypatch, given, kind, look)
    assert found["files"] > 20
    assert found["own"] > 2


def test_each_side_sees_the_others_noise_in_every_cell(tmp_path, monkeypatch):
    """What a finds is true + tau: never the exact number."""
    made = parameters(groups_a=2, groups_b=2)
    kind = inputs(made, 20, 200, 20, random.Random(1).random())
    seen = Seen(tmp_path, monkeypatch, made, kind)
    clear = kind.clear(2, 2)
    terms = seen.terms
    alpha = group.load_key(seen.world.draws["a"].mask)
    points = group.records(b"".join(row[:32] for row in seen.rows["points-b"]), 32)
    found = Counter(t.as_py() for t in group.tags(points, alpha))
    found &= Counter(seen.rows["tags-a"])
    tau = seen.world.draws["b"].counts
    assert sum(found.values()) == sum(clear.counts) + sum(tau)
    assert terms.matches >= max(clear.counts)
