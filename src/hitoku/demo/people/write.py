# SPDX-License-Identifier: Apache-2.0
"""Writes the two tables as Parquet, a row group at a time: memory does not depend on the number of people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hitoku.demo.people.tables import Sizes, subscribers, travellers
from hitoku.errors import InputError
from hitoku.sources.target import NewFile

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ROW_GROUP", "Written", "new_folder", "write_people"]

ROW_GROUP: Final = 131_072


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        travellers: the airline's file.
        subscribers: the operator's file.
        sizes: how many there are of what.
    """

    travellers: Path
    subscribers: Path
    sizes: Sizes


def write_people(
    people: int, seed: int, folder: Path, progress: Callable[[int, int], None] | None = None
) -> Written:
    """Write `travellers.parquet` and `subscribers.parquet` of so many people each into the folder.

    Args:
        people: distinct people a table; 60 % of them are in both.
        seed: the same seed gives the same bytes.
        folder: made where it is not there; a file of the name in it is never overwritten.
        progress: told (rows written, rows in all) as it goes.

    Raises:
        InputError: more people than there are numbers, a file is there already or cannot be written.
    """
    sizes = Sizes.of(people)
    new_folder(folder, ["travellers.parquet", "subscribers.parquet"])
    done = 0
    total = sizes.people + sizes.bookings

    def told(rows: int) -> None:
        nonlocal done
        done += rows
        if progress is not None:
            progress(done, total)

    made = Written(folder / "travellers.parquet", folder / "subscribers.parquet", sizes)
    with NewFile(made.travellers) as first, NewFile(made.subscribers) as second:
        _write(first, lambda a, b: travellers(seed, sizes, a, b), sizes.bookings, told)
        _write(second, lambda a, b: subscribers(seed, sizes, a, b), sizes.people, told)
        first.commit()
        second.commit()
    return made


def new_folder(folder: Path, names: list[str]) -> None:
    """Make the folder where it is not there.

    Raises:
        InputError: it cannot be made, or has a file of one of the names already.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror})") from None
    for name in names:
        if (folder / name).exists():
            raise InputError(f"{folder / name}: is there already; name another folder")


def _write(
    target: NewFile, rows: Callable[[int, int], pa.RecordBatch], total: int, told: Callable[[int], None]
) -> None:
    import pyarrow.parquet as pq

    with (
        target.native() as file,
        pq.ParquetWriter(file, rows(0, 0).schema, compression="zstd", use_dictionary=True) as writer,
    ):
        for start in range(0, total, ROW_GROUP):
            stop = min(start + ROW_GROUP, total)
            writer.write_batch(rows(start, stop), row_group_size=ROW_GROUP)
            told(stop - start)
