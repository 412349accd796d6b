# SPDX-License-Identifier: Apache-2.0
"""The made-up people: as many as said, spread as said, nobody's numbers, the same for the same seed."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitoku.demo.people import phones, places
from hitoku.demo.people.draw import Draws
from hitoku.demo.people.tables import Sizes, subscribers, travellers
from hitoku.demo.people.write import write_people
from hitoku.errors import InputError

PEOPLE = 50_000
SEED = 7
NATIONAL = re.compile(r"^(?:\+81|0)(90|70|60)(0\d{7})$")


def canonical(text: str) -> str:
    """The number in E.164's form, by what the standard library has."""
    plain = re.sub(r"[ ()-]", "", unicodedata.normalize("NFKC", text))
    found = NATIONAL.match(plain)
    assert found, text
    return "+81" + found[1] + found[2]


@pytest.fixture(scope="module")
def sizes():
    return Sizes.of(PEOPLE)


@pytest.fixture(scope="module")
def guests(sizes):
    return pa.Table.from_batches([travellers(SEED, sizes, 0, sizes.bookings)])


@pytest.fixture(scope="module")
def clients(sizes):
    return pa.Table.from_batches([subscribers(SEED, sizes, 0, sizes.people)])


def shares(column):
    counts = {row["values"]: row["counts"] for row in column.value_counts().to_pylist()}
    return {name: count / len(column) for name, count in counts.items()}


def near(found, expected, rows, sigmas=5):
    """A share of independent draws; at five sigmas and a fixed seed this is no matter of luck."""
    return abs(found - expected) <= sigmas * (expected * (1 - expected) / rows) ** 0.5


def test_as_many_people_as_said_and_exactly_so_many_in_both(sizes, guests, clients):
    there = [canonical(text) for text in guests["phone"].drop_null().to_pylist()]
    assert len(there) == PEOPLE * 104 // 100
    assert guests["phone"].null_count == PEOPLE // 100
    ours, theirs = set(there), set(clients["phone"].to_pylist())
    assert (len(ours), len(theirs)) == (PEOPLE, PEOPLE)
    assert len(theirs) == clients.num_rows
    assert len(ours & theirs) == PEOPLE * 6 // 10 == sizes.both


def test_every_number_is_nobodys(clients):
    assert all(re.match(r"^\+81(90|70|60)0\d{7}$", text) for text in clients["phone"].to_pylist())


def test_a_person_always_flies_to_one_airport(guests):
    flown: dict[str, set[str]] = {}
    for text, airport in zip(guests["phone"].to_pylist(), guests["airport"].to_pylist(), strict=True):
        if text is not None:
            flown.setdefault(canonical(text), set()).add(airport)
    assert set(map(len, flown.values())) == {1}


def test_subscribers_are_spread_as_said(clients):
    for column, weights in (("home_prefecture", places.PREFECTURES), ("age_band", places.AGE_BANDS)):
        found = shares(clients[column])
        assert found.keys() == weights.keys()
        total = sum(weights.values())
        assert all(near(found[n], w / total, PEOPLE) for n, w in weights.items())


def test_airports_are_spread_as_said_but_for_those_at_home(guests):
    weights = {name: weight for name, (weight, _, _) in places.AIRPORTS.items()}
    total, people = sum(weights.values()), sum(places.PREFECTURES.values())
    expected = dict.fromkeys(weights, 0.0)
    for home, inhabitants in places.PREFECTURES.items():
        local = [n for n, (_, where, _) in places.AIRPORTS.items() if where == home]
        again = sum(weights[n] for n in local) / total
        for name, weight in weights.items():
            once = 0 if name in local else weight / total
            expected[name] += inhabitants / people * (once + again * weight / total)
    found = shares(guests["airport"])
    assert found.keys() == expected.keys()
    assert sum(expected.values()) == pytest.approx(1)
    # Bookings of one person are not independent, so a little wider.
    assert all(near(found[n], share, PEOPLE, sigmas=6) for n, share in expected.items())


def test_nights_are_whole_bounded_and_longer_where_one_stays_longer(guests):
    nights = guests["stay_nights"].to_numpy()
    assert nights.min() == 0
    assert nights.max() <= places.MOST_NIGHTS
    airports = np.array(guests["airport"].to_pylist())
    for name in ("HND", "CTS", "OKA"):
        weights = np.array(places.nights(places.AIRPORTS[name][2]), float)
        law = weights / weights.sum()
        mean = (law * np.arange(len(law))).sum()
        spread = ((law * np.arange(len(law)) ** 2).sum() - mean**2) ** 0.5
        mine = nights[airports == name]
        assert abs(mine.mean() - mean) < 5 * spread / len(mine) ** 0.5
    assert nights[airports == "OKA"].mean() > 2 * nights[airports == "HND"].mean()


def test_numbers_are_written_in_every_form_as_often_as_said(guests):
    texts = guests["phone"].drop_null().to_pylist()

    def shape(text: str) -> str:
        return re.sub(r"\d", "9", text)  # also full-width digits

    found: dict[str, int] = {}
    for text in texts:
        found[shape(text)] = found.get(shape(text), 0) + 1
    expected: dict[str, int] = {}
    for (pattern, wide), share in phones.FORMS.items():
        plain = re.sub("[A-K]", "0", pattern)
        spelt = "".join(chr(ord(c) + 0xFEE0) for c in plain) if wide else plain
        expected[shape(spelt)] = expected.get(shape(spelt), 0) + share
    assert sum(phones.FORMS.values()) == 100
    assert found.keys() == expected.keys()
    assert all(near(found[k] / len(texts), s / 100, len(texts)) for k, s in expected.items())
    full = sum(ord(text[1]) > 0xFF00 for text in texts)
    assert 0.04 < full / len(texts) < 0.06


def test_a_row_is_the_same_in_whatever_chunk(sizes, guests, clients):
    for rows, whole in ((travellers, guests), (subscribers, clients)):
        cuts = [0, 1, 777, 20_000, 49_999, whole.num_rows]
        parts = [rows(SEED, sizes, a, b) for a, b in pairwise(cuts)]
        assert pa.Table.from_batches(parts).combine_chunks().equals(whole.combine_chunks())


def test_another_seed_gives_other_people(sizes, clients):
    other = subscribers(SEED + 1, sizes, 0, sizes.people)
    assert len(set(other["phone"].to_pylist()) & set(clients["phone"].to_pylist())) < 0.01 * PEOPLE


def test_the_rows_are_pinned(sizes):
    """Benchmarks and documentation quote numbers of a seed: a change of any draw must be seen."""
    assert subscribers(SEED, sizes, 0, 2).to_pylist() == [
        {"phone": "+819006188388", "home_prefecture": "Gunma", "age_band": "10s"},
        {"phone": "+819007460005", "home_prefecture": "Saitama", "age_band": "30s"},
    ]
    assert travellers(SEED, sizes, 0, 3).to_pylist() == [
        {"phone": "090-0712-8892", "airport": "ITM", "stay_nights": 0},
        {"phone": "090-0174-0710", "airport": "HND", "stay_nights": 1},
        {"phone": "+81 70-0752-3520", "airport": "CTS", "stay_nights": 11},
    ]


@given(st.integers(1, 5_000), st.integers(0, 99))
def test_a_shuffle_is_a_bijection(size, seed):
    moved = Draws(seed).shuffled("test", np.arange(size, dtype=np.uint64), size)
    assert sorted(moved.tolist()) == list(range(size))


def test_a_draw_cannot_overflow():
    draws, numbers = Draws(1), np.arange(10, dtype=np.uint64)
    assert draws.below("test", numbers, 1 << 32).max() < 1 << 32
    with pytest.raises(ValueError, match="above"):
        draws.below("test", numbers, (1 << 32) + 1)
    assert all(sum(places.nights(mean)) < 1 << 32 for _, _, mean in places.AIRPORTS.values())


class TestFiles:
    def test_the_same_seed_gives_the_same_bytes(self, tmp_path):
        made = [write_people(3_000, 5, tmp_path / name) for name in ("one", "two")]
        assert made[0].travellers.read_bytes() == made[1].travellers.read_bytes()
        assert made[0].subscribers.read_bytes() == made[1].subscribers.read_bytes()
        other = write_people(3_000, 6, tmp_path / "three")
        assert other.subscribers.read_bytes() != made[0].subscribers.read_bytes()

    def test_another_program_reads_them(self, tmp_path):
        told = []
        made = write_people(1_000, 5, tmp_path, lambda done, total: told.append((done, total)))
        assert told[-1] == (2_050, 2_050)
        query = "SELECT count(*), count(phone), sum(stay_nights) > 0 FROM read_parquet(?)"
        assert duckdb.execute(query, [str(made.travellers)]).fetchone() == (1_050, 1_040, True)
        query = "SELECT count(DISTINCT phone), count(age_band) FROM read_parquet(?)"
        assert duckdb.execute(query, [str(made.subscribers)]).fetchone() == (1_000, 1_000)

    def test_a_file_that_is_there_stays(self, tmp_path):
        (tmp_path / "subscribers.parquet").write_text("mine")
        with pytest.raises(InputError, match="is there already"):
            write_people(10, 1, tmp_path)
        assert [p.name for p in tmp_path.iterdir()] == ["subscribers.parquet"]

    @pytest.mark.parametrize("people", [0, -1, 22_000_000])
    def test_there_are_only_so_many_numbers(self, people, tmp_path):
        with pytest.raises(InputError, match=r"from 1 to 21,428,571"):
            write_people(people, 1, tmp_path)

    def test_one_person_is_a_table_too(self, tmp_path):
        assert write_people(1, 1, tmp_path).sizes.both == 0
