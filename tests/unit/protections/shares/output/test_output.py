# SPDX-License-Identifier: Apache-2.0
"""Three parts of an answer become its rows, exactly, or an error that names servers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.protections.shares.sharing_world import (
    SERVERS,
    Branch,
    Terms,
    Vector,
    handed_out,
    layout,
    put_together,
    reshared,
)

from hitoku import limits
from hitoku.errors import LimitError, PeerError
from hitoku.protections.shares.output.combine import combine
from hitoku.protections.shares.program import Type

NUMBER = Type("number", -1000, 100_000, nullable=False)


def words(kind: Type, values: Sequence[int | None]) -> list[list[Vector]]:
    """The vectors of a column of whole numbers."""
    one = layout("o1", kind)
    made = [reshared(one.kinds[0], [0 if v is None else v - kind.low for v in values])]
    return [*made, reshared("u8", [int(v is not None) for v in values])] if kind.nullable else made


def column(kind: Type, values: Sequence[int | None]) -> Branch:
    return len(values), [(layout("o1", kind), words(kind, values))]


def back(branch: Branch) -> pa.ChunkedArray:
    return put_together([branch]).branches[0].column("o1")


def ratio(numbers: list[Fraction | None], words: int = 1) -> Branch:
    """Quotients as the operators compute them: the last bit of the fraction also says what was cut.

    Of three words two are behind the point, and the whole part has two as well.
    """
    behind = min(words, 2)
    signs, wholes, parts = [], [], []
    for number in numbers:
        size = abs(number or Fraction(0))
        whole = int(size)
        scaled = (size - whole) * 2 ** (64 * behind)
        signs.append(int((number or 0) < 0))
        wholes.append(whole)
        parts.append(int(scaled) | (scaled != int(scaled)))
    there = [int(number is not None) for number in numbers]
    fractions = [[part >> 64 * n & 2**64 - 1 for part in parts] for n in reversed(range(behind))]
    above = [
        [whole >> 64 * n & 2**64 - 1 for whole in wholes] for n in reversed(range(2 if words == 3 else 1))
    ]
    content = [
        ("u8", signs),
        *(("u64", one) for one in above),
        *(("u64", one) for one in fractions),
        ("u8", there),
    ]
    kind = Type("number", -(2**100), 2**100)
    return len(numbers), [(layout("o1", kind, "ratio", words), [reshared(k, v) for k, v in content])]


def text(values: list[str | None], size: int) -> Branch:
    content = [(value or "").encode().ljust(8 * size, b"\0") for value in values]
    vectors = [
        reshared("u64", [int.from_bytes(one[8 * n : 8 * n + 8], "big") for one in content])
        for n in range(size)
    ]
    there = reshared("u8", [int(value is not None) for value in values])
    kind = Type("code", 0, 1023, dictionary="trips.1")
    return len(values), [(layout("o1", kind, "text", size), [*vectors, there])]


BOUNDS = st.tuples(st.integers(-(2**126) + 1, 2**126 - 1), st.integers(-(2**126) + 1, 2**126 - 1)).map(sorted)


@settings(deadline=None, max_examples=60)
@given(BOUNDS, st.data())
def test_whole_numbers_of_any_width(bounds: list[int], data: st.DataObject) -> None:
    low, high = bounds
    kind = Type("number", low, high)
    values = data.draw(
        st.lists(st.none() | st.integers(low, high) | st.sampled_from([low, high]), max_size=6)
    )
    found = back(column(kind, values))
    assert found.to_pylist() == values
    fits = low >= -(2**63) and high < 2**63
    assert found.type == (pa.int64() if fits else pa.decimal128(38, 0))


@settings(deadline=None, max_examples=20)
@given(st.lists(st.none() | st.integers(-(10**7), 10**7), max_size=6), st.integers(1, 12))
def test_decimals(values: list[int | None], scale: int) -> None:
    found = back(column(Type("number", -(10**7), 10**7, scale), values))
    assert found.to_pylist() == [None if v is None else Decimal(v).scaleb(-scale) for v in values]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.none() | st.dates(), max_size=6))
def test_dates(values: list[dt.date | None]) -> None:
    epoch = dt.date(1970, 1, 1)
    days = [None if v is None else (v - epoch).days for v in values]
    assert back(column(Type("date", -719_162, 2_932_896), days)).to_pylist() == values


@given(st.lists(st.none() | st.booleans(), max_size=20))
@settings(deadline=None, max_examples=20)
def test_booleans(values: list[bool | None]) -> None:
    found = back(column(Type("boolean", 0, 1), [None if v is None else int(v) for v in values]))
    assert found.to_pylist() == values


@settings(deadline=None, max_examples=30)
@given(st.lists(st.none() | st.text(max_size=10).filter(lambda t: not t.endswith("\0")), max_size=6))
def test_texts(values: list[str | None]) -> None:
    assert back(text(values, 5)).to_pylist() == values


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.none()
        | st.fractions(-(2**60), 2**60)
        | st.tuples(st.integers(0, 2**53), st.integers(-30, 10)).map(lambda t: t[0] * Fraction(2) ** t[1]),
        max_size=5,
    )
)
def test_ratios_are_the_nearest_doubles(numbers: list[Fraction | None]) -> None:
    # A fraction has 64 bits: those of smaller quotients are too few for the nearest double.
    kept = [n for n in numbers if n is None or n == 0 or 2**-10 <= abs(n) < 2**63]
    exact = [None if n is None else n.numerator / n.denominator for n in kept]
    assert back(ratio(kept)).to_pylist() == exact


@settings(deadline=None, max_examples=40)
@given(st.lists(st.fractions(0, 1), max_size=5), st.integers(0, 70))
def test_small_ratios_with_two_words_behind_the_point(numbers: list[Fraction], shift: int) -> None:
    small = [n / 2**shift for n in numbers if n == 0 or n / 2**shift >= Fraction(1, 2**74)]
    exact = [n.numerator / n.denominator for n in small]
    assert back(ratio(list(small), 2)).to_pylist() == exact


@settings(deadline=None, max_examples=40)
@given(st.lists(st.fractions(-(2**120), 2**120), max_size=5))
def test_large_ratios_with_two_words_before_the_point(numbers: list[Fraction]) -> None:
    kept = [n for n in numbers if n == 0 or abs(n) >= Fraction(1, 2**74)]
    assert back(ratio(list(kept), 3)).to_pylist() == [n.numerator / n.denominator for n in kept]


def test_half_way_between_two_doubles() -> None:
    half = Fraction(2**53 + 1)  # not a double: half-way, to even
    more = half + Fraction(1, 3**20)
    assert back(ratio([half, more, -half])).to_pylist() == [2.0**53, 2.0**53 + 2, -(2.0**53)]


def test_branches_and_columns_without_rows() -> None:
    made = put_together([column(NUMBER, []), column(NUMBER, [5, -1000, 100_000]), text([], 2)])
    assert [table.num_rows for table in made.branches] == [0, 3, 0]
    assert made.branches[1].column("o1").to_pylist() == [5, -1000, 100_000]
    assert [str(table.schema.field("o1").type) for table in made.branches] == ["int64", "int64", "string"]


def test_salts_are_put_together() -> None:
    branch = column(NUMBER, [5])
    one, two = put_together([branch]), put_together([branch])
    assert one.salt != two.salt
    assert len(bytes.fromhex(one.salt)) == 32
    assert one.released_at == Terms().released_at


def test_no_server_has_a_value_of_it() -> None:
    values = [77_777] * 64
    contents = handed_out([column(NUMBER, values)])
    for content in contents:
        assert (77_777 + 1000).to_bytes(4, "little") not in content


# --- what is not right ---


def altered(content: bytes, place: int) -> bytes:
    changed = bytearray(content)
    changed[place] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("server", [0, 1, 2])
@pytest.mark.parametrize("place", [-1, -4, -9, -16, -17, -24])
def test_one_altered_share_is_seen(server: int, place: int) -> None:
    contents = handed_out([column(NUMBER, [5, 6, 7])])
    contents[server] = altered(contents[server], place)
    with pytest.raises(PeerError, match="disagree about shares") as caught:
        combine(contents, SERVERS, Terms())
    assert SERVERS[server] in str(caught.value)


@pytest.mark.parametrize("server", [0, 1, 2])
def test_parts_of_two_runs_do_not_mix(server: int) -> None:
    contents = handed_out([column(NUMBER, [5])])
    other = handed_out([column(NUMBER, [5])], Terms(run="cd" * 16))
    contents[server] = other[server]
    with pytest.raises(PeerError, match=f"{SERVERS[server]!r} sent shares of another answer"):
        combine(contents, SERVERS, Terms())


@pytest.mark.parametrize("name", ["run", "question", "plan", "program", "released_at"])
def test_parts_are_of_what_was_agreed(name: str) -> None:
    values = {"run": "cd" * 16, "released_at": "2026-01-02T03:04:06Z"}
    other = Terms(**{name: values.get(name, "sha256:" + "9" * 64)})
    with pytest.raises(PeerError, match="another answer"):
        combine(handed_out([column(NUMBER, [5])], other), SERVERS, Terms())


def test_new_sharings_of_one_run_do_not_mix() -> None:
    one, two = handed_out([column(NUMBER, [5, 7])]), handed_out([text(["a"], 1)])
    with pytest.raises(PeerError, match="different columns or rows"):
        combine([one[0], one[1], two[2]], SERVERS, Terms())


def test_a_part_given_twice_or_in_another_place() -> None:
    contents = handed_out([column(NUMBER, [5])])
    for order in ([0, 0, 2], [1, 0, 2], [0, 2, 1]):
        with pytest.raises(PeerError, match="another server's place"):
            combine([contents[n] for n in order], SERVERS, Terms())
    with pytest.raises(PeerError, match="three parts"):
        combine(contents[:2], SERVERS[:2], Terms())


@pytest.mark.parametrize("cut", [0, 1, 4, 7, 8, 100, -1])
def test_truncated_parts(cut: int) -> None:
    contents = handed_out([column(NUMBER, [5])])
    contents[1] = contents[1][:cut]
    with pytest.raises(PeerError, match="'south' sent"):
        combine(contents, SERVERS, Terms())


def test_longer_parts() -> None:
    contents = handed_out([column(NUMBER, [5])])
    contents[2] += b"\0"
    with pytest.raises(PeerError, match="'west' sent shares that are not as long"):
        combine(contents, SERVERS, Terms())


def one_word(kind: Type, word: int, valid: int = 1) -> Branch:
    """A branch of one row and column, of a word that may be none of its type."""
    one = layout("o1", kind)
    there = [reshared("u8", [valid])] if kind.nullable else []
    return 1, [(one, [reshared(one.kinds[0], [word]), *there])]


WRONG: dict[str, tuple[Branch, str]] = {
    "number": (one_word(Type("number", 0, 9, nullable=False), 10), "bounds"),
    "wide": (one_word(Type("number", 0, 2**100), 2**100 + 1), "bounds"),
    "bit": (one_word(Type("number", 0, 9), 1, 2), "neither 0 nor 1"),
    "null": (one_word(Type("number", 0, 9), 1, 0), "where there is none"),
    "boolean": (one_word(Type("boolean", 0, 1, nullable=False), 2), "bounds"),
    "date": (one_word(Type("date", 0, 2**31, nullable=False), 1), "dates"),
    "hash": (one_word(Type("hash", 0, 2**64 - 1, nullable=False), 1), "hash"),
    "text": (
        (1, [(layout("o1", Type("code", 0, 1, nullable=False), "text"), [reshared("u64", [0xFF << 56])])]),
        "UTF-8",
    ),
    "columns": ((1, []), "no columns"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_no_honest_computation_gives(what: str) -> None:
    branch, why = WRONG[what]
    with pytest.raises(PeerError, match=f"do not make an answer: .*{why}"):
        put_together([branch])


def test_two_columns_of_one_name() -> None:
    rows, columns = column(NUMBER, [5])
    with pytest.raises(PeerError, match="one name"):
        put_together([(rows, [*columns, *columns])])


def test_answers_that_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    branch = column(NUMBER, [5] * 100)
    contents = handed_out([branch])
    monkeypatch.setattr(limits, "MAX_SHARES_PART_BYTES", 799)
    with pytest.raises(LimitError, match="use LIMIT"):
        handed_out([branch])
    monkeypatch.setattr(limits, "MAX_SHARES_PART_BYTES", 800)
    handed_out([branch])
    monkeypatch.setattr(limits, "MAX_SHARES_PART_BYTES", 0)
    monkeypatch.setattr(limits, "MAX_SHARES_HEAD_BYTES", 100)
    with pytest.raises(PeerError, match="'north' sent shares that are too long"):
        combine(contents, SERVERS, Terms())


@pytest.mark.parametrize(
    "limit", ["ENGINE_MAX_RESULT_ROWS", "MAX_OUTPUT_COLUMNS", "MAX_SHARES_BRANCHES", "MAX_SHARES_HEAD_BYTES"]
)
def test_more_rows_columns_or_branches_than_an_answer_has(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, limit, 0)
    with pytest.raises(LimitError, match="use LIMIT"):
        handed_out([column(NUMBER, [5])])


def test_numbers_of_more_than_38_digits() -> None:
    kind = Type("number", -(2**127) + 1, 2**127 - 1, nullable=False)
    assert back(column(kind, [10**38 - 1, 1 - 10**38])).to_pylist() == [10**38 - 1, 1 - 10**38]
    for value in (10**38, -(10**38)):
        with pytest.raises(PeerError, match="38 digits"):
            put_together([column(kind, [value])])
