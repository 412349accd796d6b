# SPDX-License-Identifier: Apache-2.0
"""`hitoku demo predict`: models of one company score rows of another that it cannot read. Checks itself."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from hitoku.demo import stage
from hitoku.demo.predict.server import serving
from hitoku.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console

    from hitoku.demo.predict.images import Images
    from hitoku.inference import Plan

    Floats = NDArray[np.float64]

__all__ = ["Source", "run"]

Source = Literal["auto", "mnist", "digits"]
_Objective = Literal["throughput", "latency"]
_NEEDS: Final = {"numpy": "numpy", "onnx": "onnx", "sklearn": "scikit-learn", "xgboost": "xgboost-cpu"}
_MODELS: Final = Path(__file__).parent / "models"
_IMAGES: Final = 8192
"""Two requests of the network: the first one pays for memory that the second finds there."""
_FLIGHTS: Final = 4096
_SINGLES: Final = 5
_TRAINED: Final = 40_000
"""Flights that the delays' model learns from."""
_IMAGES_TOLERANCE: Final = 0.02
_TREES_TOLERANCE: Final = 0.01
_AGREE: Final = 0.99
"""So many of the labels are as in the clear at least, or the demo says that it failed."""


@dataclass(frozen=True, eq=False)
class _Part:
    """What one series of requests brought; seconds and bytes are of one request."""

    name: str
    plan: Plan
    scores: Floats
    seconds: list[float]
    up: int
    down: int
    keys: int
    encrypt: float
    decrypt: float

    @property
    def room(self) -> int:
        """Rows that one request has room for."""
        return self.plan.client.encoder.samples


def run(directory: Path, console: Console, images: Source = "auto") -> dict[str, Any]:
    """Tell the whole story in `directory`. Returns how it ended; `right` says whether labels agreed.

    Raises:
        InputError: the extras are not installed, or the directory is not the demo's.
    """
    missing = [package for module, package in _NEEDS.items() if find_spec(module) is None]
    if missing:
        raise InputError(
            f"this demo needs {', '.join(missing)}: make build EXTRAS=inference, or "
            'pip install "hitoku[inference,demo]"'
        )
    began = time.monotonic()
    stage.prepare(directory)
    console.print(f"Everything of this demo is in [b]{directory.resolve()}[/b]; delete it when you like.")
    console.print(
        "This process is the client, and prepares the models; the server is another process, which holds a "
        "model, public keys and ciphertexts. Between them is a socket, and nothing else."
    )
    outcome: dict[str, Any] = {"directory": str(directory.resolve())}
    outcome["images"] = _images(directory, console, _pictures(images, console))
    outcome["trees"] = _trees(directory, console)
    _learned((*outcome["images"].pop("parts"), *outcome["trees"].pop("parts")), console)
    seconds = time.monotonic() - began
    _next(console, seconds)
    parts = (*outcome["images"].values(), *outcome["trees"].values())
    outcome["right"] = all(part["agreement"] >= _AGREE for part in parts if isinstance(part, dict))
    outcome["seconds"] = round(seconds, 3)
    return outcome


def _pictures(source: Source, console: Console) -> Images:
    from hitoku.demo.predict.images import ImagesAbsent, digits, mnist

    stage.say(console, "1  Handwritten digits, by a neural network")
    if source != "digits":
        try:
            return mnist("test")
        except ImagesAbsent as error:
            if source == "mnist":
                raise
            console.print(f"[b]Not MNIST:[/b] {error}", soft_wrap=True)
            console.print("scikit-learn's small digits are used instead, with a smaller network.")
    return digits()


def _images(directory: Path, console: Console, shown: Images) -> dict[str, Any]:
    from hitoku.inference import load

    large = shown.pixels.shape[-1] > 8
    file = _MODELS / ("cryptonets.onnx" if large else "digits.onnx")
    count = _IMAGES if large else 360
    # The network never saw the pictures that are scored, and the search not their labels.
    pixels, labels = (shown.pixels[:count], shown.labels[:count]) if large else _last(shown, count)
    calibration = shown.pixels[-500:] if large else shown.pixels[:400]
    network = load(str(file))
    console.print(f"{shown.source}: {count:,} pictures that the network ({file.name}) was not trained on.")
    clear = network.run(pixels)
    found: dict[str, Any] = {"source": shown.source, "parts": []}
    asked: tuple[tuple[str, _Objective, Floats], ...] = (
        ("batch", "throughput", pixels),
        ("single", "latency", pixels[:_SINGLES]),
    )
    for key, objective, given in asked:
        part = _asked(directory, f"{file.stem}-{key}", str(file), calibration, objective, given, console)
        right = float((part.scores.argmax(1) == labels[: len(given)]).mean())
        agreement = float((part.scores.argmax(1) == clear[: len(given)].argmax(1)).mean())
        found[key] = _figures(part, len(given)) | {"accuracy": right, "agreement": agreement}
        found["parts"].append(part)
        if key == "batch":
            plain = float((clear.argmax(1) == labels).mean())
            console.print(f"accuracy {100 * right:.2f} %; in the clear {100 * plain:.2f} %")
        console.print(f"the same digit as in the clear: {100 * agreement:.2f} % of {len(given):,} pictures")
    return found


def _last(shown: Images, count: int) -> tuple[Floats, Any]:
    return shown.pixels[-count:], shown.labels[-count:]


def _trees(directory: Path, console: Console) -> dict[str, Any]:
    import numpy as np
    import xgboost
    from sklearn.datasets import load_breast_cancer

    from hitoku.demo.predict.delays import FEATURES, LATE_MINUTES, delays
    from hitoku.demo.predict.rooms import in_a_room

    found: dict[str, Any] = {"parts": []}

    def scored(
        key: str, name: str, x: Floats, y: Any, trained: int, asked: int
    ) -> tuple[Plan, Floats, Floats]:
        order = np.random.default_rng(1).permutation(len(x))
        learn, rest = order[:trained], order[trained : trained + asked]
        # One thread: a few cores that others use too are slower than one.
        model = xgboost.XGBClassifier(
            n_estimators=100, max_depth=4, max_bin=32, tree_method="hist", n_jobs=1, random_state=1
        ).fit(x[learn], y[learn])
        margin = np.asarray(model.predict(x[rest], output_margin=True), dtype=np.float64)
        part = _asked(directory, key, model, x[learn[:500]], "throughput", x[rest], console)
        labels = part.scores[:, 0] > 0
        agreement = float((labels == (margin > 0)).mean())
        error = float(np.abs(part.scores[:, 0] - margin).max())
        accuracy = float((labels == y[rest]).mean())
        found[key] = _figures(part, len(rest)) | {
            "accuracy": accuracy,
            "agreement": agreement,
            "error": error,
        }
        found["parts"].append(part)
        console.print(f"{name}: accuracy {100 * accuracy:.1f} % on {len(rest):,} rows it did not learn from")
        console.print(
            f"the same label as XGBoost's own: {100 * agreement:.2f} %; scores differ by {error:.2g} at "
            f"most, {part.plan.tolerance:.2g} is allowed"
        )
        return part.plan, x[rest], margin

    stage.say(console, "2  Breast cancer or not, by XGBoost: 100 trees of depth 4")
    x, y = load_breast_cancer(return_X_y=True)
    tumours = scored(
        "cancer", "scikit-learn's breast cancer", x, np.asarray(y, dtype=bool), 400, len(x) - 400
    )
    console.print()
    console.print("[b]The same between two companies[/b], each with a node of its own:")
    found["room"] = in_a_room(directory / "room", *tumours, console)
    stage.say(console, f"3  More than {LATE_MINUTES} minutes late? Flights with their weather, by XGBoost")
    try:
        table, late = delays()
    except InputError as error:
        console.print(f"left out: {error}", soft_wrap=True)
        return found
    console.print(f"{len(table):,} flights, {len(FEATURES)} columns; {100 * late.mean():.0f} % were late")
    scored("delays", "flights", table, late, _TRAINED, _FLIGHTS)
    return found


def _asked(
    directory: Path,
    name: str,
    model: Any,
    calibration: Floats,
    objective: _Objective,
    rows: Floats,
    console: Console,
) -> _Part:
    """Compile a model, give the server its bundle and the client its specification, and ask."""
    import numpy as np

    from hitoku import inference

    began = time.monotonic()
    images = rows.ndim > 2
    plan = inference.compile(model, calibration, objective, _IMAGES_TOLERANCE if images else _TREES_TOLERANCE)
    took = time.monotonic() - began
    theirs, ours = directory / "server" / name, directory / "client" / name
    for folder in (theirs, ours):
        folder.mkdir(parents=True)
    (theirs / "server.bundle").write_bytes(plan.bundle().to_bytes())
    (ours / "client.json").write_text(plan.client.to_json(), "utf-8")
    console.print()
    console.print(
        f"[b]{name}[/b]: compiled for {objective} in {took:.1f} s; a ring of degree {plan.params.degree:,}, "
        "found by search"
    )
    client = inference.Client(ours / "client.json")
    keys = client.keys()
    most = client.samples_per_request
    scores, seconds, encrypting, decrypting = [], [], 0.0, 0.0
    with serving(theirs) as server:
        server.keys(keys)
        for start in range(0, len(rows), most):
            part = rows[start : start + most]
            clock = time.perf_counter()
            request = client.encrypt(part)
            encrypting += time.perf_counter() - clock
            answer, took = server.score(request)
            seconds.append(took)
            clock = time.perf_counter()
            scores.append(client.decrypt(answer, len(part)))
            decrypting += time.perf_counter() - clock
        up, down = server.up - len(keys), server.down
    client.erase()
    asked = len(seconds)
    found = _Part(
        name,
        plan,
        np.concatenate(scores),
        seconds,
        up // asked,
        down // asked,
        len(keys),
        encrypting / asked,
        decrypting / asked,
    )
    _costs(found, len(rows), console)
    return found


def _costs(part: _Part, rows: int, console: Console) -> None:
    first, best = part.seconds[0], min(part.seconds)
    if part.room > 1:
        later = "" if best == first else f", {best:.2f} s for a later one"
        console.print(
            f"server: {first:.2f} s for the first request{later}, with room for {part.room:,} rows each "
            f"({rows:,} asked): {_count(part.room / best * 3600)} predictions an hour"
        )
    else:
        typical = sorted(part.seconds)[len(part.seconds) // 2]
        console.print(f"server: {1e3 * typical:.0f} ms for one row (median of {rows})")
    console.print(
        f"client: {part.encrypt:.2f} s to encrypt, {1e3 * part.decrypt:.0f} ms to decrypt a request; "
        f"{part.up / 1e6:.1f} MB up, {part.down / 1e6:.2f} MB down; keys, once, {part.keys / 1e6:.1f} MB"
    )


def _count(number: float) -> str:
    return f"{number / 1e6:.1f} million" if number >= 1e6 else f"{number:,.0f}"


def _figures(part: _Part, rows: int) -> dict[str, Any]:
    return {
        "rows": rows,
        "room": part.room,
        "server_seconds": part.seconds,
        "bytes_up": part.up,
        "bytes_down": part.down,
        "key_bytes": part.keys,
        "encrypt_seconds": part.encrypt,
        "decrypt_seconds": part.decrypt,
        "degree": part.plan.params.degree,
        "tolerance": part.plan.tolerance,
    }


def _learned(parts: tuple[_Part, ...], console: Console) -> None:
    from rich.padding import Padding

    stage.say(console, "4  Who learned what")
    server = [
        "sizes and times: how many requests, with room for how many rows",
        "no row, no value on the way, no score: ciphertexts under the client's key (decision RLWE, 128 bits)",
    ]
    client = [
        "its scores, each with noise over it",
        "client.json: shapes, bounds of the inputs, the ring; of trees also the bins, of none the weights",
    ]
    for who, lines in (("server learns", server), ("client learns", client)):
        console.print(who)
        for line in lines:
            console.print(Padding(f"- {line}", (0, 0, 0, 2)))
    console.print("How far that noise hides the model beyond its scores, by model:")
    for part in parts:
        console.print(Padding(f"- {part.name}: {_flooding(part.plan)}", (0, 0, 0, 2)))
    console.print(
        "Below 40 bits that is no proof, only rounding; and whoever may ask often can rebuild much of any "
        "model from its scores, whatever protects one of them. A room names who may ask, and rows a day."
    )


def _flooding(plan: Plan) -> str:
    from hitoku.inference.interpreters import noise, ranges, release

    proved = noise.find(plan.program, plan.params, ranges.bounds(plan.program))
    (hiding,) = release.hiding(plan.program, plan.params, proved).values()
    bits = hiding.lambda_bits
    distance = f"2^-{bits:.0f} at most" if bits >= 1 else "not bounded usefully"
    return (
        f"statistical distance {distance}; a coefficient of an answer carries at most "
        f"{hiding.score_bits:.0f} bits, whatever was encrypted under an honest key"
    )


def _next(console: Console, seconds: float) -> None:
    stage.say(console, "What to try next")
    for line in (
        "hitoku model compile MODEL.onnx --calibration rows.csv --output compiled",
        "hitoku model report compiled --html report.html",
        "hitoku model serve compiled --member DIRECTORY --name NAME   # then `hitoku predict` in a room",
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"\nThe demo's own work took {seconds:.1f} s.")
