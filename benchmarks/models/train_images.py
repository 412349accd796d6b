# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="import-not-found, import-untyped, misc, no-untyped-call"
"""Train the demo's networks for pictures of digits in PyTorch and write them as ONNX.

CryptoNets' network (Gilad-Bachrach et al., ICML 2016): a 5 x 5 convolution of stride 2 with 5 maps, square,
845 to 100, square, 100 to 10. Batch normalisation before each square keeps training stable; without scale and
shift of its own it is folded away when the model is imported. ``digits`` is the same idea for 8 x 8 pictures.

PyTorch is no dependency of hitoku (3 GB with its libraries); run this in an environment of its own::

    PYTHONPATH=src uv run --isolated --no-project --with torch --with numpy --with onnx --with onnxscript \
        --with scikit-learn python benchmarks/models/train_images.py
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from hitoku.demo.predict.images import digits, mnist

MODELS = Path(__file__).resolve().parents[2] / "src" / "hitoku" / "demo" / "predict" / "models"


class Square(nn.Module):
    """The activation x**2."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Every value times itself."""
        return x * x


def cryptonets() -> nn.Sequential:
    """For 28 x 28 pictures with values 0 to 1."""
    return nn.Sequential(
        nn.ZeroPad2d((0, 1, 0, 1)),
        nn.Conv2d(1, 5, 5, stride=2),
        nn.BatchNorm2d(5, affine=False),
        Square(),
        nn.Flatten(),
        nn.Linear(845, 100),
        nn.BatchNorm1d(100, affine=False),
        Square(),
        nn.Linear(100, 10),
    )


def small() -> nn.Sequential:
    """For 8 x 8 pictures with values 0 to 1."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.BatchNorm2d(8, affine=False),
        Square(),
        nn.Flatten(),
        nn.Linear(288, 32),
        nn.BatchNorm1d(32, affine=False),
        Square(),
        nn.Linear(32, 10),
    )


def _moved(x: torch.Tensor, reach: int, generator: torch.Generator) -> torch.Tensor:
    """Every picture shifted by up to `reach` pixels in each direction."""
    side = x.shape[2]
    wide = nn.functional.pad(x, (reach,) * 4)
    corner = torch.randint(0, 2 * reach + 1, (2, len(x), 1, 1), generator=generator)
    rows = corner[0] + torch.arange(side)[:, None]
    columns = corner[1] + torch.arange(side)
    return wide[torch.arange(len(x))[:, None, None], 0, rows, columns][:, None]


def train(
    model: nn.Module,
    pixels: np.ndarray[Any, Any],
    labels: np.ndarray[Any, Any],
    *,
    epochs: int,
    batch: int,
    rate: float,
    reach: int,
    decay: float = 1e-2,
    seed: int = 1,
) -> None:
    """AdamW with one cycle of the learning rate, label smoothing, small shifts and clipped gradients."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.tensor(pixels, dtype=torch.float32)
    y = torch.tensor(labels, dtype=torch.int64)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    steps = -(-len(x) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, epochs=epochs, steps_per_epoch=steps)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        for start in range(0, len(x), batch):
            chosen = order[start : start + batch]
            optimiser.zero_grad(set_to_none=True)
            loss = loss_of(model(_moved(x[chosen], reach, generator)), y[chosen])
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    model.eval()


def accuracy(model: nn.Module, pixels: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> float:
    """The share of pictures for which the greatest score is the label's."""
    with torch.no_grad():
        scores = model(torch.tensor(pixels, dtype=torch.float32)).numpy()
    return float((scores.argmax(1) == labels).mean())


def write(model: nn.Module, shape: tuple[int, ...], path: Path, *, dynamo: bool = True) -> None:
    """Export with PyTorch's own exporter; what it notes of the machine (stack traces, paths) is taken out."""
    sample = torch.zeros(2, *shape)
    names: dict[str, Any] = {"input_names": ["x"], "output_names": ["scores"]}
    if dynamo:
        dynamic = ({0: torch.export.Dim("batch")},)
        torch.onnx.export(
            model,
            (sample,),
            path,
            dynamo=True,
            dynamic_shapes=dynamic,
            external_data=False,
            verbose=False,
            **names,
        )
    else:
        axes = {"x": {0: "batch"}, "scores": {0: "batch"}}
        torch.onnx.export(model, (sample,), path, dynamo=False, dynamic_axes=axes, **names)
    found = onnx.load(path)
    del found.metadata_props[:]
    found.doc_string = ""
    found.graph.doc_string = ""
    del found.graph.metadata_props[:], found.graph.value_info[:]
    for part in (*found.graph.node, *found.graph.initializer, *found.graph.input, *found.graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    onnx.checker.check_model(found)
    onnx.save(found, path)


def main() -> int:
    """Train and write both; the exit code is 1 where CryptoNets' network misses 99.0 %."""
    parser = argparse.ArgumentParser(description="Train the demo's networks and write them as ONNX.")
    parser.add_argument("--folder", type=Path, default=MODELS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=["cryptonets", "digits"])
    told = parser.parse_args()
    torch.set_num_threads(2)
    told.folder.mkdir(parents=True, exist_ok=True)
    good = True
    if told.only != "digits":
        start = time.perf_counter()
        taught, asked = mnist("train"), mnist("test")
        torch.manual_seed(told.seed)
        model = cryptonets()
        train(model, taught.pixels, taught.labels, epochs=16, batch=256, rate=4e-3, reach=1, seed=told.seed)
        share = accuracy(model, asked.pixels, asked.labels)
        write(model, (1, 28, 28), told.folder / "cryptonets.onnx")
        print(f"cryptonets: {share:.2%} of {len(asked.labels)}, {time.perf_counter() - start:.0f} s")
        good = share >= 0.99
    if told.only != "cryptonets":
        torch.manual_seed(told.seed)
        torch.set_num_threads(1)  # so small that a second thread costs more than it brings
        every = digits()
        model = small()
        train(model, every.pixels[:-360], every.labels[:-360], epochs=60, batch=32, rate=1e-2, reach=1)
        share = accuracy(model, every.pixels[-360:], every.labels[-360:])
        write(model, (1, 8, 8), told.folder / "digits.onnx")
        print(f"digits: {share:.2%} of 360")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
