# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="import-not-found, import-untyped, misc, no-untyped-call"
"""Write the test models that come from PyTorch, with both of its ONNX exporters.

``mlp.onnx``: 784-128-64-10 with ReLU, the network of the FHE benchmarking suite's reference task
(HomomorphicEncryption.org), trained on MNIST. ``lenet5.onnx``: LeNet-5 with average pooling and the
activation ``0.25 x**2 + 0.5 x`` written with PyTorch's operators, trained on MNIST. The others are small,
untrained, and hold one or another habit of an exporter. The ``.npz`` beside a model has inputs and what
PyTorch itself computes on them.

PyTorch is no dependency of hitoku; run this in an environment of its own::

    PYTHONPATH=src:benchmarks/models uv run --isolated --no-project --with torch --with numpy --with onnx \
        --with onnxscript --with scikit-learn python tests/unit/inference/models/make_torch.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from train_images import accuracy, train, write

from hitoku.demo.predict.images import mnist

HERE = Path(__file__).resolve().parent


class Quadratic(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0.25 * x**2 + 0.5 * x


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
    )


def lenet5() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.BatchNorm2d(6, affine=False),
        Quadratic(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.BatchNorm2d(16, affine=False),
        Quadratic(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 120),
        nn.BatchNorm1d(120, affine=False),
        Quadratic(),
        nn.Linear(120, 84),
        nn.BatchNorm1d(84, affine=False),
        Quadratic(),
        nn.Linear(84, 10),
    )


class Habits(nn.Module):
    """Views that compute the batch, written-out functions, a padding of its own, a softmax at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 3, (3, 2), dilation=(1, 2))
        self.last = nn.Linear(3, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.pad(x, (1, 0, 2, 1))
        x = self.norm(self.first(x))
        x = x * torch.sigmoid(x)
        x = F.gelu(self.second(x))
        x = F.adaptive_avg_pool2d(x, 1)
        x = x.view(x.size(0), -1)
        return torch.softmax(self.last((x - 0.5) / 2.0), dim=-1)


class Line(nn.Module):
    """A convolution over a line, transposed before it is flattened, and several activations."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(3, 4, 3, padding=1)
        self.second = nn.Linear(32, 6)
        self.third = nn.Linear(6, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.leaky_relu(self.first(x), 0.1)
        x = F.avg_pool1d(x, 2)
        x = x.transpose(1, 2).reshape(-1, 16)
        x = F.hardtanh(self.second(F.pad(x, (8, 8))))
        x = F.softplus(x) - x.pow(3) * 0.1
        return torch.sigmoid(self.third(x))


def keep(model: nn.Module, shape: tuple[int, ...], name: str, samples: torch.Tensor | None = None) -> None:
    model.eval()
    torch.manual_seed(5)
    x = torch.randn(6, *shape) if samples is None else samples
    with torch.no_grad():
        y = model(x)
    write(model, shape, HERE / f"{name}.onnx", dynamo=True)
    if name not in {"mlp", "lenet5"}:
        write(model, shape, HERE / f"{name}_legacy.onnx", dynamo=False)
    np.savez_compressed(HERE / f"{name}.npz", x=x.numpy(), y=y.numpy())


def main() -> int:
    torch.set_num_threads(1)
    torch.manual_seed(7)
    keep(Habits(), (2, 9, 10), "habits")
    keep(Line(), (3, 8), "line")
    taught, asked = mnist("train"), mnist("test")
    few = torch.tensor(asked.pixels[:8], dtype=torch.float32)
    for name, model, epochs, rate, decay in (
        ("mlp", mlp(), 10, 2e-3, 1e-2),
        ("lenet5", lenet5(), 6, 4e-3, 1e-3),
    ):
        train(model, taught.pixels, taught.labels, epochs=epochs, batch=256, rate=rate, reach=1, decay=decay)
        print(f"{name}: {accuracy(model, asked.pixels, asked.labels):.2%}")  # noqa: T201
        keep(model, (1, 28, 28), name, few)
    return 0


if __name__ == "__main__":
    sys.exit(main())
