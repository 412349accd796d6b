# SPDX-License-Identifier: Apache-2.0
"""What a node computes predictions with: `hitoku.inference`, an extra that only nodes with models need."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hitoku.errors import InputError
from hitoku.node.models import BUNDLE, CLIENT

if TYPE_CHECKING:
    from hitoku.inference import ClientSpec, Server

__all__ = ["BundleScorer", "need_inference", "scorer"]


def need_inference() -> None:
    """Raise InputError where the extra `inference` is not installed."""
    if find_spec("numpy") is None:
        raise InputError('models need the extra `inference`: pip install "hitoku[inference]"')


class BundleScorer:
    """See `hitoku.node.models.Scorer`.

    Args:
        server: computes.
        spec: the client specification that goes with it.
    """

    def __init__(self, server: Server, spec: ClientSpec) -> None:
        self._server, self._spec = server, spec

    @property
    def rows(self) -> int:
        """A request has room for as many rows as the circuit's layout, whoever made it."""
        return self._spec.encoder.samples

    @property
    def most_request_bytes(self) -> int:
        """As the circuit's input says."""
        return self._server.most_request_bytes

    @property
    def most_key_bytes(self) -> int:
        """As the circuit's rotations say."""
        return self._server.most_key_bytes

    def run(self, request: bytes, keys: bytes) -> bytes:
        """The encrypted scores.

        Raises:
            ModelError: keys or request are damaged, or of another model.
        """
        return self._server.run(request, keys)

    @property
    def noise_width(self) -> float:
        """As the width of uniform noise with the same variance: what floods a score, slot by slot."""
        from hitoku.inference.interpreters import growth

        program = self._server.bundle.program
        widths = []
        for release in program.releases().values():
            if release.flood_bits is None:
                return 0.0
            square = growth.flood(self._server.params.degree, release.flood_bits).square
            # Half of the mean square is the real part's; uniform noise of width w has the variance w^2 / 12.
            widths.append(math.sqrt(12.0 * square / 2.0) / self._spec.answer_scale)
        return min(widths, default=0.0)


def scorer(folder: Path) -> BundleScorer:
    """What computes with the model in a folder.

    Raises:
        InputError: the extra `inference` is not installed, or the two files do not go together.
        ModelError: a file is damaged, or cannot be read.
    """
    need_inference()
    from hitoku.inference import Server
    from hitoku.inference.client import read_specification

    server = Server(folder / BUNDLE)
    spec = read_specification(folder / CLIENT)
    if spec.circuit != server.circuit:
        raise InputError(f"{folder}: {CLIENT} is not the client specification of {BUNDLE}")
    return BundleScorer(server, spec)
