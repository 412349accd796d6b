# SPDX-License-Identifier: Apache-2.0
"""The rows of the two tables, any of them at any time: each is a function of the seed and its number.

People are numbered 0, 1, ... Subscribers are the first N, travellers the last N, `Sizes.both` of them in
common. A traveller may have booked several times, always to the same airport, so that "how many people, by
airport" counts nobody twice; a few bookings have no telephone number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hitoku.demo.people import phones, places
from hitoku.demo.people.draw import Draws
from hitoku.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["Sizes", "subscribers", "travellers"]

_BOTH: Final = (3, 5)
_AGAIN: Final = (4, 100)
_NAMELESS: Final = (1, 100)
_AIRPORTS: Final = list(places.AIRPORTS)
_HOMES: Final = list(places.PREFECTURES)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many there are of what, for `people` people a table.

    Attributes:
        people: distinct telephone numbers in each table.
        both: how many of them are in both tables: 60 %, rounded down.
        again: further bookings of travellers who have one: 4 %.
        nameless: further bookings without a telephone number: 1 %.
    """

    people: int
    both: int
    again: int
    nameless: int

    @classmethod
    def of(cls, people: int) -> Sizes:
        """The sizes for so many people a table.

        Raises:
            InputError: there are not as many numbers.
        """
        both = people * _BOTH[0] // _BOTH[1]
        most = phones.NUMBERS * _BOTH[1] // (2 * _BOTH[1] - _BOTH[0])
        if not 1 <= people <= most:
            raise InputError(f"people must be from 1 to {most:,}: so many telephone numbers belong to nobody")
        return cls(people, both, people * _AGAIN[0] // _AGAIN[1], people * _NAMELESS[0] // _NAMELESS[1])

    @property
    def bookings(self) -> int:
        """Rows of the table of travellers."""
        return self.people + self.again + self.nameless


def subscribers(seed: int, sizes: Sizes, start: int, stop: int) -> pa.RecordBatch:
    """Rows `start` to `stop` (not included) of the operator's table: phone, home_prefecture, age_band."""
    import pyarrow as pa

    draws = Draws(seed)
    rows = np.arange(start, stop, dtype=np.uint64)
    people = draws.shuffled("subscribers", rows, sizes.people)
    ages = draws.choose("age", people, list(places.AGE_BANDS.values()))
    return pa.RecordBatch.from_arrays(
        [
            phones.international(draws.shuffled("phone", people, phones.NUMBERS)),
            _named(_HOMES, _home(draws, people)),
            _named(list(places.AGE_BANDS), ages),
        ],
        names=["phone", "home_prefecture", "age_band"],
    )


def travellers(seed: int, sizes: Sizes, start: int, stop: int) -> pa.RecordBatch:
    """Rows `start` to `stop` (not included) of the airline's table: phone, airport, stay_nights."""
    import pyarrow as pa

    draws = Draws(seed)
    bookings = draws.shuffled("bookings", np.arange(start, stop, dtype=np.uint64), sizes.bookings)
    repeat = bookings >= sizes.people
    named = bookings < sizes.people + sizes.again
    who = np.where(repeat, draws.below("again", bookings, sizes.people), bookings)
    people = who + np.uint64(sizes.people - sizes.both)
    airports = _airport(draws, people)
    stays = draws.choose_by(
        "nights", bookings, airports, [places.nights(mean) for _, _, mean in places.AIRPORTS.values()]
    )
    numbers = draws.shuffled("phone", people, phones.NUMBERS)
    forms = draws.choose("form", bookings, list(phones.FORMS.values()))
    return pa.RecordBatch.from_arrays(
        [
            phones.written(numbers, forms, named),
            _named(_AIRPORTS, airports),
            pa.Int64Array.from_buffers(pa.int64(), len(stays), [None, pa.py_buffer(stays)]),
        ],
        names=["phone", "airport", "stay_nights"],
    )


def _home(draws: Draws, people: NDArray[np.uint64]) -> NDArray[np.int64]:
    return draws.choose("home", people, list(places.PREFECTURES.values()))


def _airport(draws: Draws, people: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Where a person flies to: drawn again, once, where that is in the prefecture the person lives in."""
    weights = [weight for weight, _, _ in places.AIRPORTS.values()]
    local = np.array([_HOMES.index(home) for _, home, _ in places.AIRPORTS.values()])
    first = draws.choose("airport", people, weights)
    at_home = local[first] == _home(draws, people)
    return np.where(at_home, draws.choose("airport again", people, weights), first)


def _named(names: list[str], which: NDArray[np.int64]) -> pa.StringArray:
    width = max(map(len, names))
    matrix = np.array([list(name.ljust(width).encode()) for name in names], np.uint8)
    lengths = np.array([len(name) for name in names], np.int32)
    return phones.texts(matrix[which], lengths[which])
