# SPDX-License-Identifier: Apache-2.0
"""Predictions on encrypted inputs: CryptoNets' network on MNIST's test images, one image, trees, others.

Client and server are two processes with a socket between them; the server has the bundle, public keys and
ciphertexts. Server figures are of `Server.run`: from a request's bytes to the answer's bytes, noise flooding
and re-randomisation with it. *Cold* is a server process's first request, *warm* the best of those after it.
Seconds of the client and bytes of both ways are told apart. Models are compiled here, nothing is set by hand.

Parts for ``--only``: `throughput`, `latency`, `trees`, `networks`, `training`, `peers`.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from _common import ROOT, Claim, Usage, bench_folder, report, run, say
from inference_server import receive, send

if TYPE_CHECKING:
    from hitoku.inference import Plan

MODELS: Final = ROOT / "src" / "hitoku" / "demo" / "predict" / "models"
TESTED: Final = ROOT / "tests" / "unit" / "inference" / "models"
CRYPTONETS: Final = 59_000
"""Predictions an hour: the record of Gilad-Bachrach et al., ICML 2016."""
HE_TASK_SECONDS: Final = 11.0
"""Published for one image by the reference submission of HomomorphicEncryption.org's task (11 to 12 s)."""
TOLERANCE: Final = 0.02


@dataclass
class Served:
    """What came of a series of requests.

    Attributes:
        scores: of all samples.
        runs: seconds on the clock and CPU-seconds of each run at the server.
        encrypt: seconds of the client for each request.
        decrypt: seconds of the client for each answer.
        up: bytes of one request.
        down: bytes of one answer.
        keys: bytes of the evaluation keys.
        key_seconds: seconds to make them.
        admit: seconds until the server had read them.
        server: the server's largest resident size, bytes.
        client: the client's (this process's), bytes.
    """

    scores: np.ndarray[Any, np.dtype[np.float64]]
    runs: list[tuple[float, float]]
    encrypt: list[float]
    decrypt: list[float]
    up: int
    down: int
    keys: int
    key_seconds: float
    admit: float
    server: int
    client: int

    @property
    def cold(self) -> float:
        """Seconds of the first run."""
        return self.runs[0][0]

    @property
    def warm(self) -> tuple[float, float]:
        """The best run after the first: seconds on the clock, CPU-seconds."""
        return min(self.runs[1:] or self.runs)


@contextmanager
def server(folder: Path) -> Iterator[socket.socket]:
    """A server process with a compiled model, and a connection to it."""
    script = [sys.executable, str(ROOT / "benchmarks" / "inference_server.py"), str(folder)]
    process = subprocess.Popen(
        script, stdout=subprocess.PIPE, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield connection
        process.wait(30)
    finally:
        process.kill()
        process.wait()


def asked(plan: Plan, samples: Any, *, repeat: int = 1) -> Served:
    """All samples, in requests as large as the model's layout has room for; `repeat` times over."""
    from hitoku.inference.client import Client

    with bench_folder("inference") as folder:
        plan.save(folder)
        client = Client(folder / "client.json")
        start = time.perf_counter()
        keys = client.keys()
        made = time.perf_counter() - start
        most, scores, encrypt, decrypt = client.samples_per_request, [], [], []
        request = answer = b""
        with server(folder) as connection:
            send(connection, b"K", keys)
            receive(connection)
            for turn in range(repeat):
                for first in range(0, len(samples), most):
                    part = samples[first : first + most]
                    start = time.perf_counter()
                    request = client.encrypt(part)
                    encrypt.append(time.perf_counter() - start)
                    send(connection, b"R", request)
                    _, answer = receive(connection)
                    start = time.perf_counter()
                    found = client.decrypt(answer, len(part))
                    decrypt.append(time.perf_counter() - start)
                    if not turn:
                        scores.append(found)
            send(connection, b"F", b"")
            figures = json.loads(receive(connection)[1])
    return Served(
        np.concatenate(scores),
        [(wall, cpu) for wall, cpu in figures["runs"]],
        encrypt,
        decrypt,
        len(request),
        len(answer),
        len(keys),
        made,
        figures["admit"],
        figures["peak"],
        _peak(),
    )


def _peak() -> int:
    text = Path("/proc/self/status").read_text("ascii")
    return next(int(r.split()[1]) * 1024 for r in text.splitlines() if r.startswith("VmHWM"))


def _plan(
    model: Any, calibration: Any, objective: Any, tolerance: float = TOLERANCE, bounds: Any = None
) -> Plan:
    from hitoku.inference import compile as compiled

    say(f"compile for {objective}")
    plan: Plan = compiled(model, calibration, objective, tolerance, bounds=bounds)
    return plan


def _images() -> tuple[Any, Any]:
    from hitoku.demo.predict.images import mnist

    return mnist("train"), mnist("test")


def _costs(name: str, served: Served, samples: int) -> list[Claim]:
    """What every part tells of time, bytes and memory."""
    each = served.up / samples
    return [
        Claim(f"{name}: server, CPU-seconds of a warm run", served.warm[1], "s"),
        Claim(f"{name}: client encrypts a request", min(served.encrypt), "s", note=f"of {samples:,} samples"),
        Claim(f"{name}: client decrypts an answer", min(served.decrypt) * 1e3, "ms"),
        Claim(f"{name}: request, up", served.up / 1e6, "MB", note=f"{each / 1e3:.1f} kB a sample"),
        Claim(f"{name}: answer, down", served.down / 1e6, "MB"),
        Claim(
            f"{name}: evaluation keys, once",
            served.keys / 1e6,
            "MB",
            note=f"made in {served.key_seconds:.2f} s",
        ),
        Claim(f"{name}: peak memory of the server", served.server / 1e6, "MB"),
        Claim(
            f"{name}: peak memory of the client",
            served.client / 1e6,
            "MB",
            note="with the images and the compiler",
        ),
    ]


def _hiding(plan: Plan) -> str:
    """What flooding buys, in words."""
    return next((line for line in plan.why if line.startswith("flooding")), "flooding on")


def throughput(quick: bool) -> list[Claim]:
    """CryptoNets' network over all 10,000 test images."""
    from hitoku.inference import load

    train, test = _images()
    network = load(str(MODELS / "cryptonets.onnx"))
    plan = _plan(str(MODELS / "cryptonets.onnx"), train.pixels[:500], "throughput")
    most = plan.client.encoder.samples
    count = most if quick else len(test.pixels)
    say(f"{count:,} images in requests of {most:,}")
    served = asked(plan, test.pixels[:count], repeat=1 if quick else 2)
    clear = network.run(test.pixels[:count])
    labels = served.scores.argmax(1)
    accuracy = float((labels == test.labels[:count]).mean())
    agreement = float((labels == clear.argmax(1)).mean())
    rates = [most / seconds * 3600 / 1e6 for seconds in (served.warm[0], served.cold)]
    enough = not quick and len(os.sched_getaffinity(0)) >= 2
    note = f"degree {plan.params.degree}, {_hiding(plan)}; load {os.getloadavg()[0]:.1f}"
    client = most / (min(served.encrypt) + min(served.decrypt)) * 3600 / 1e6
    return [
        Claim(
            f"accuracy on {count:,} encrypted images",
            100 * accuracy,
            "%",
            ">= 99.0",
            None,
            None,
            None if quick else accuracy >= 0.99,
            f"{int((labels != test.labels[:count]).sum())} wrong; in the clear "
            f"{100 * float((clear.argmax(1) == test.labels[:count]).mean()):.2f} %",
        ),
        Claim(
            "argmax as in the clear",
            100 * agreement,
            "%",
            ">= 99.9",
            None,
            None,
            agreement >= 0.999,
            f"largest error of a score {float(np.abs(served.scores - clear).max()):.3g} "
            f"of scores to {float(np.abs(clear).max()):.3g}",
        ),
        Claim(
            "warm server, predictions an hour (peer: CryptoNets' record)",
            rates[0],
            "million",
            ">= 25",
            CRYPTONETS / 1e6,
            rates[0] * 1e6 / CRYPTONETS,
            rates[0] >= 25 if enough else None,
            note,
        ),
        Claim(
            "cold server's first request, predictions an hour",
            rates[1],
            "million",
            ">= 12",
            None,
            None,
            rates[1] >= 12 if enough else None,
        ),
        Claim("client, predictions an hour that it encrypts and decrypts", client, "million"),
        *_costs("throughput", served, most),
    ]


def latency(quick: bool) -> list[Claim]:
    """One image at a time."""
    from hitoku.inference import load

    train, test = _images()
    network = load(str(MODELS / "cryptonets.onnx"))
    plan = _plan(str(MODELS / "cryptonets.onnx"), train.pixels[:500], "latency")
    count = 10 if quick else 100
    served = asked(plan, test.pixels[:count])
    clear = network.run(test.pixels[:count])
    same = float((served.scores.argmax(1) == clear.argmax(1)).mean())
    times = sorted(wall * 1e3 for wall, _ in served.runs[1:])
    median = times[len(times) // 2]
    enough = len(os.sched_getaffinity(0)) >= 2
    return [
        Claim(
            "one image at the server, median",
            median,
            "ms",
            "<= 70",
            None,
            None,
            median <= 70 if enough else None,
            f"{times[0]:.1f} to {times[-1]:.1f}; degree {plan.params.degree}, {_hiding(plan)}; "
            f"load {os.getloadavg()[0]:.1f}",
        ),
        Claim(
            "one image, argmax as in the clear", 100 * same, "%", None, None, None, None, f"{count} images"
        ),
        *_costs("one image", served, 1),
    ]


def _forests() -> list[tuple[str, Any, Any, Any]]:
    """Three trained models with 100 trees of depth 4: name, model, samples, the library's own raw scores."""
    import lightgbm
    import xgboost
    from sklearn.datasets import load_breast_cancer, load_diabetes
    from sklearn.ensemble import GradientBoostingRegressor

    x, y = load_breast_cancer(return_X_y=True)
    boosted = xgboost.XGBClassifier(n_estimators=100, max_depth=4, tree_method="hist", max_bin=32).fit(x, y)
    light = lightgbm.LGBMClassifier(n_estimators=100, max_depth=4, num_leaves=16, max_bin=31, verbose=-1).fit(
        x, y
    )
    dx, dy = load_diabetes(return_X_y=True)
    # Values on a grid of 32, as the other two libraries see them: each threshold is one public bin.
    edges = [np.unique(np.quantile(dx[:, f], np.linspace(0, 1, 33)[1:-1])) for f in range(dx.shape[1])]
    dx = np.column_stack([np.searchsorted(edges[f], dx[:, f]).astype(float) for f in range(dx.shape[1])])
    gradient = GradientBoostingRegressor(n_estimators=100, max_depth=4, random_state=1).fit(dx, dy)
    return [
        ("XGBoost, breast cancer", boosted, x, boosted.predict(x, output_margin=True)),
        ("LightGBM, breast cancer", light, x, light.predict(x, raw_score=True)),
        ("scikit-learn gradient boosting, diabetes", gradient, dx, gradient.predict(dx)),
    ]


def trees(quick: bool) -> list[Claim]:
    """100 trees of depth 4, many samples and one."""
    claims = []
    for name, model, x, own in _forests()[: 1 if quick else 3]:
        own = np.asarray(own, dtype=np.float64).reshape(len(x), -1)
        for objective in ("throughput", "latency"):
            plan = _plan(model, x, objective)
            most = plan.client.encoder.samples
            given = np.tile(x, (-(-most // len(x)), 1))[:most] if most > 1 else x[: 10 if quick else 40]
            wanted = np.tile(own, (-(-most // len(x)), 1))[:most] if most > 1 else own[: len(given)]
            served = asked(plan, given, repeat=6 if most > 1 else 3)
            error = float(np.abs(served.scores - wanted).max())
            claims.append(
                Claim(
                    f"{name}, {objective}: largest error of a score",
                    error,
                    "",
                    f"<= {plan.tolerance:.3g}",
                    None,
                    None,
                    error <= plan.tolerance,
                    f"scores to {float(np.abs(wanted).max()):.3g}; {_hiding(plan)}",
                )
            )
            if name.endswith("cancer"):
                same = float(((served.scores > 0) == (wanted > 0)).mean())
                claims.append(
                    Claim(
                        f"{name}, {objective}: labels as the library's",
                        100 * same,
                        "%",
                        ">= 99.9",
                        None,
                        None,
                        same >= 0.999,
                    )
                )
            enough = len(os.sched_getaffinity(0)) >= 2
            if objective == "throughput":
                each = served.warm[0] * 1e3 / most
                claims.append(
                    Claim(
                        f"{name}: a sample, in batches of {most:,}",
                        each,
                        "ms",
                        "<= 0.4",
                        None,
                        None,
                        each <= 0.4 if enough else None,
                    )
                )
            else:
                one = sorted(wall for wall, _ in served.runs[1:])[(len(served.runs) - 1) // 2] * 1e3
                claims.append(
                    Claim(
                        f"{name}: one sample, median",
                        one,
                        "ms",
                        "<= 250",
                        None,
                        None,
                        one <= 250 if enough else None,
                    )
                )
            claims += _costs(f"{name}, {objective}", served, most)[:6]
    return claims


def _he_task(train: Any) -> Any:
    """HomomorphicEncryption.org's reference submission in shape: 784-512-10 (it pads to 1024 x 1024)."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier((512,), max_iter=4, batch_size=200, alpha=1e-2, random_state=1)
    flat = train.pixels[:10_000].reshape(10_000, -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(flat, train.labels[:10_000])


def networks(quick: bool) -> list[Claim]:
    """Networks that other tools wrote: errors, and predicted against measured milliseconds."""
    from sklearn.datasets import load_breast_cancer

    train, test = _images()
    cancer = load_breast_cancer(return_X_y=True)[0]
    images = train.pixels[:500], test.pixels
    flat = tuple(x.reshape(len(x), -1) for x in images)
    both = ("throughput", "latency")
    cases: list[tuple[str, Any, Any, Any, tuple[str, ...]]] = [
        ("logistic regression (skl2onnx)", str(TESTED / "logistic.onnx"), cancer, cancer, both),
        ("784-128-64-10 with ReLU (PyTorch)", str(TESTED / "mlp.onnx"), *images, both),
        ("CryptoNets (PyTorch)", str(MODELS / "cryptonets.onnx"), *images, both),
        ("LeNet-5 (PyTorch)", str(TESTED / "lenet5.onnx"), *images, ("latency", "throughput")),
        ("784-512-10 with ReLU (scikit-learn)", _he_task(train), flat[0], flat[1], ("latency",)),
    ]
    claims = []
    for name, model, calibration, samples, objectives in cases[: 2 if quick else None]:
        for objective in objectives:
            claims += _network(name, model, calibration, samples, objective)
    return claims


def _network(name: str, model: Any, calibration: Any, samples: Any, objective: str) -> list[Claim]:
    from hitoku.inference import load
    from hitoku.inference.interpreters import plain

    # Of a picture as a row of numbers nobody can tell that a pixel, dark in all samples, may be bright.
    flat = calibration.ndim == 2 and calibration.shape[1] == 784
    plan = _plan(model, calibration, objective, bounds=(0.0, 1.0) if flat else None)
    most = plan.client.encoder.samples
    given = samples[: most if most > 1 else 12]
    predicted = plan.report().to_dict()["cost"]
    # Some 4 seconds of requests, at least 6: the median of a few short ones is the machine's mood.
    requests = -(-len(given) // most) if most > 1 else len(given)
    served = asked(plan, given, repeat=-(-max(6, min(1_000, int(4e3 / predicted["server_ms"]))) // requests))
    (entry,) = plan.program.inputs
    step = max(1, most)
    exact = np.concatenate(
        [
            plan.client.scores.read(
                plain.run(plan.program, {entry: plan.client.encoder.encode(given[at : at + step])})["scores"],
                len(given[at : at + step]),
            )
            for at in range(0, len(given), step)
        ]
    )
    error = float(np.abs(served.scores - exact).max())
    own = load(model).run(given)
    if own.shape[1] > 1:
        same = float((served.scores.argmax(1) == own.argmax(1)).mean())
    else:
        same = float(((served.scores > 0) == (own > 0)).mean())
    walls = sorted(wall for wall, _ in served.runs[1:])
    measured = walls[len(walls) // 2] * 1e3
    away, added = (predicted[name] / measured - 1 for name in ("server_ms", "added_ms"))
    name = f"{name}, {objective}"
    found = [
        Claim(
            f"{name}: predicted milliseconds (peer: measured)",
            predicted["server_ms"],
            "ms",
            "within 20 %",
            measured,
            None,
            abs(away) <= 0.2,
            f"{100 * away:+.0f} %; operations add up to {100 * added:+.0f} %; "
            f"degree {plan.params.degree}; load {os.getloadavg()[0]:.1f}",
        ),
        Claim(
            f"{name}: largest error of a score",
            error,
            "",
            f"<= {plan.tolerance:.3g}",
            None,
            None,
            error <= plan.tolerance,
            f"scores to {float(np.abs(exact).max()):.3g}",
        ),
        Claim(
            f"{name}: decisions as of the model as it came",
            100 * same,
            "%",
            None,
            None,
            None,
            None,
            "; ".join(plan.notes)[:300] or "nothing was approximated",
        ),
    ]
    if "512" in name:
        seconds = measured / 1e3
        found.append(
            Claim(
                f"{name}: one image (peer: published for this shape)",
                seconds,
                "s",
                None,
                HE_TASK_SECONDS,
                HE_TASK_SECONDS / seconds,
                None,
                "HomomorphicEncryption.org's reference submission, its machine",
            )
        )
    return found


def training(quick: bool) -> list[Claim]:
    """Logistic regression with encrypted weights."""
    usage: Usage = run(
        [sys.executable, str(ROOT / "benchmarks" / "encrypted_training.py"), *(["--quick"] if quick else [])]
    )
    found = json.loads(usage.output.splitlines()[-1])
    return [
        Claim(
            "breast cancer, accuracy after training on encrypted weights (peer: in the clear)",
            100 * found["encrypted"],
            "%",
            "within 1 %",
            100 * found["clear"],
            None,
            None if quick else found["encrypted"] >= found["clear"] - 0.01,
            f"mean of {found['splits']} splits, {found['steps']} steps with a refresh each; "
            f"flooding {found['hidden_bits']:.1f} bits above the worst noise",
        ),
        Claim("encrypted training: a step, refresh with it", found["step_seconds"], "s"),
        Claim("encrypted training: weights to the trainer, a step", found["down"] / 1e6, "MB"),
        Claim("encrypted training: sums to the owner, a step", found["up"] / 1e6, "MB"),
        Claim("peak memory of owner and trainer", usage.memory / 1e6, "MB"),
    ]


def peers(quick: bool) -> list[Claim]:
    """TenSEAL's own high-level calls on the same network and image; ours beside it."""
    from hitoku.inference import load

    train, test = _images()
    network = load(str(MODELS / "cryptonets.onnx"))
    with bench_folder("tenseal") as folder:
        np.savez(
            folder / "network.npz",
            **_weights(network),
            image=test.pixels[:1],
            clear=network.run(test.pixels[:1]),
        )
        say("TenSEAL: one image")
        usage = run(
            [
                sys.executable,
                str(ROOT / "benchmarks" / "peers" / "tenseal_image.py"),
                str(folder / "network.npz"),
            ]
        )
    theirs = json.loads(usage.output.splitlines()[-1])
    plan = _plan(str(MODELS / "cryptonets.onnx"), train.pixels[:500], "latency")
    served = asked(plan, test.pixels[: 5 if quick else 20])
    ours = sorted(wall for wall, _ in served.runs[1:])[(len(served.runs) - 1) // 2]
    cpu = min(cpu for _, cpu in served.runs[1:])
    return [
        Claim(
            "one image (peer: TenSEAL)",
            ours,
            "s",
            None,
            theirs["wall"],
            theirs["wall"] / ours,
            None,
            f"TenSEAL's error of a score {theirs['error']:.2g}, degree {theirs['degree']}",
        ),
        Claim("one image, CPU-seconds (peer: TenSEAL)", cpu, "s", None, theirs["cpu"], theirs["cpu"] / cpu),
        Claim(
            "bytes up (peer: TenSEAL)",
            served.up / 1e6,
            "MB",
            None,
            theirs["up"] / 1e6,
            theirs["up"] / served.up,
        ),
        Claim(
            "peak memory (peer: TenSEAL, both sides in one process)",
            served.server / 1e6,
            "MB",
            None,
            usage.memory / 1e6,
            usage.memory / served.server,
        ),
    ]


def _weights(network: Any) -> dict[str, Any]:
    """Kernel, bias and matrices of CryptoNets' network."""
    from hitoku.inference.layers import Conv, Dense
    from hitoku.inference.passes import fold

    folded = fold(network)
    (conv,) = [layer for layer in folded.layers if isinstance(layer, Conv)]
    dense = [layer for layer in folded.layers if isinstance(layer, Dense)]
    return {
        "kernel": conv.weights,
        "bias": conv.bias,
        "w1": dense[0].weights,
        "b1": dense[0].bias,
        "w2": dense[1].weights,
        "b2": dense[1].bias,
    }


if __name__ == "__main__":
    report(
        "predictions on encrypted inputs",
        {
            "throughput": throughput,
            "latency": latency,
            "trees": trees,
            "networks": networks,
            "training": training,
            "peers": peers,
        },
    )
