# SPDX-License-Identifier: Apache-2.0
"""A compiled model: circuit, ring, client specification, and why they are what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from hitoku.hazmat.ring import Parameters
from hitoku.inference.arrays import Floats
from hitoku.inference.bundle import BUNDLE_NAME, Bundle, read_bundle
from hitoku.inference.circuit import Program
from hitoku.inference.errors import ModelError
from hitoku.inference.interpreters import ranges, simulate
from hitoku.inference.specification import MAX_SPECIFICATION_BYTES, ClientSpec, circuit_name

__all__ = ["CLIENT_NAME", "Plan"]

CLIENT_NAME: Final = "client.json"


@dataclass(frozen=True, eq=False)
class Plan:
    """What `compile` makes.

    Attributes:
        name: the model's.
        objective: ``throughput`` or ``latency``.
        program: the circuit, with the model's weights.
        params: its ring.
        client: what clients get.
        tolerance: the largest error of a score, in the scores' unit.
        why: sentences about how ring and scales were chosen.
        notes: sentences about what passes did to the model and what that cost in accuracy.
        calibration: calibration samples as the circuit's inputs, one for each run, for reports; not saved.
        reference: the model's own scores of samples, for reports; not saved.
    """

    name: str
    objective: str
    program: Program
    params: Parameters
    client: ClientSpec
    tolerance: float
    why: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    calibration: tuple[Mapping[str, Floats], ...] = field(default=(), repr=False)
    samples: int = 0

    def bundle(self) -> Bundle:
        """The server's part."""
        return Bundle(self.name, self.program, self.params)

    def save(self, folder: str | Path) -> Path:
        """Write ``server.bundle`` (weights: keep it) and ``client.json`` (none: hand it out) to a folder.

        Raises:
            ModelError: the folder cannot be written.
        """
        place = Path(folder)
        try:
            place.mkdir(parents=True, exist_ok=True)
            for name, content in (
                (BUNDLE_NAME, self.bundle().to_bytes()),
                (CLIENT_NAME, self.client.to_json().encode()),
            ):
                part = place / f".{name}.part"
                part.write_bytes(content)
                part.replace(place / name)
        except OSError as error:
            raise ModelError("FILE", f"cannot be written ({error.strerror})", where=str(place)) from None
        return place

    @classmethod
    def open(cls, folder: str | Path) -> Plan:
        """Read what `save` wrote. Calibration samples, notes and reasons are not in it: the report has them.

        Raises:
            ModelError: a file cannot be read, is damaged (``FILE``), or they do not go together
                (``CIRCUIT``).
        """
        place = Path(folder)
        bundle = read_bundle(place / BUNDLE_NAME)
        try:
            with (place / CLIENT_NAME).open("rb") as file:
                client = ClientSpec.from_json(file.read(MAX_SPECIFICATION_BYTES + 1))
        except OSError as error:
            where = str(place / CLIENT_NAME)
            raise ModelError("FILE", f"cannot be read ({error.strerror})", where=where) from None
        if client.circuit != circuit_name(bundle.program, bundle.params):
            raise ModelError(
                "CIRCUIT",
                f"is not the client specification of the {BUNDLE_NAME} beside it",
                where=str(place / CLIENT_NAME),
                remedy="compile the model again, or put the two files of one compilation there",
            )
        objective = "throughput" if client.encoder.samples > 1 else "latency"
        return cls(bundle.name, objective, bundle.program, bundle.params, client, client.scores.tolerance)

    def simulate(self, x: ArrayLike, *, seed: int | None = None) -> Floats:
        """Scores [n, columns] with the noise that encryption would add, computed in the clear.

        Args:
            x: samples [n, *shape].
            seed: the same seed draws the same noise.

        Raises:
            ModelError: as `Client.encrypt`.
        """
        values = np.asarray(x, dtype=np.float64)
        each = self.client.encoder.samples
        found = []
        (name,) = self.program.inputs
        for start in range(0, len(values), each):
            part = values[start : start + each]
            inputs = {name: self.client.encoder.encode(part)}
            slots = simulate.run(
                self.program, self.params, inputs, seed=None if seed is None else seed + start
            )["scores"]
            found.append(self.client.scores.read(slots, len(part)))
        return np.concatenate(found)

    def ranges(self) -> ranges.Ranges:
        """Ranges of all values: seen in calibration, or bounds for every input where there is none."""
        from hitoku.inference.search import observed

        if not self.calibration:
            return ranges.bounds(self.program)
        return observed(self.program, self.calibration, self.samples)

    def report(self, **options: Any) -> Any:
        """The circuit report: see `hitoku.inference.report`."""
        from hitoku.inference import report

        return report.of(self, **options)
