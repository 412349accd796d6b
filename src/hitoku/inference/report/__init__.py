# SPDX-License-Identifier: Apache-2.0
"""The circuit report: what a circuit costs, how precise it is, who learns what; for people and for CI.

`Report.to_dict` gives the same keys from release to release (``form`` changes if one ever means something
else); times are milliseconds, sizes bytes, ``*_bits`` base-2 logarithms:

- ``name``, ``notes``; ``machine``: processor, cores, kernels, version that times are for.
- ``circuit``: ``slots``; ``depth`` {products, all_products, levels}; ``operations`` {name: ciphertexts};
  ``rotations`` [steps]; ``extra_parts`` (beyond 2, relinearised at once; 0: no relinearisation key);
  ``inputs``, ``outputs`` [{name, count, level, scale_bits}].
- ``nodes``: each operation's {index, op, label, args, count, parts, level, scale_bits, low, high (bounds),
  seen_low, seen_high (calibration), typical_error, worst_error (reals), noise_bits, used_bits, modulus_bits}.
- ``parameters``: {scheme, degree, primes, prime_bits, special, special_bits, total_bits, limit_bits,
  security_bits, binding, reasons, candidates [{degree, prime_bits, special_bits, lost, ms, error}]}.
- ``ranges``: {kind ("proved" for every input within its bounds, or "observed" in calibration times a
  margin), samples, margin, room_bits, tightest (operation), fits}.
- ``precision``: for each output {largest, typical_error, worst_error, bits (of the largest score over the
  typical error), worst_bits (over the bound), tolerance}.
- ``release``: for each output {level, modulus_bits, flood_bits, lambda_bits, score_bits, proof}.
- ``cost``: {threads, samples (of one run), server_ms (a request, from bytes to bytes), rehearsed (whether
  server_ms comes from rehearsed requests, or else is added_ms), added_ms (the sum of the operations' times,
  at best), wall_ms (of it the circuit alone), cpu_ms, sample_ms, receive_ms,
  send_ms, client_encrypt_ms, client_decrypt_ms, bytes {up, down, public_key, relinearisation_key,
  rotation_keys, keys, keys_in_memory, constants_in_memory, values_in_memory, memory}, steps [{nodes, fused,
  name, wall_ms, cpu_ms}]}.
- ``learns``: {client: [sentences], server: [sentences]}.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hitoku.inference.circuit.errors import CircuitError
from hitoku.inference.report.build import build, refuse_overflow
from hitoku.inference.report.choice import Candidate, Choice

if TYPE_CHECKING:
    from rich.console import Console

    from hitoku.inference.circuit.program import Program
    from hitoku.inference.interpreters.ring import Ring

__all__ = ["Candidate", "Choice", "Report", "of", "report"]


@dataclass(frozen=True)
class Report:
    """What the interpreters found about a circuit.

    Attributes:
        data: everything, JSON-ready; see the module for the keys.
    """

    data: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-ready data."""
        return dict(self.data)

    def to_json(self) -> str:
        """Everything as JSON."""
        return json.dumps(self.data, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """A report that `to_json` wrote."""
        return cls(json.loads(text))

    def to_html(self) -> str:
        """One page, complete in itself, with a picture of the circuit."""
        from hitoku.inference.report.page import page

        return page(self.data)

    def print(self, console: Console | None = None) -> None:
        """Print it for people."""
        from hitoku.inference.report.terminal import show

        show(self.data, console)

    def refuse_overflow(self) -> None:
        """Raise CircuitError (``OVERFLOW``) if values may leave the modulus."""
        refuse_overflow(self.data)

    def assert_budget(
        self,
        *,
        ms: float | None = None,
        sample_ms: float | None = None,
        mb: float | None = None,
        key_mb: float | None = None,
        up_mb: float | None = None,
        bits: float | None = None,
    ) -> None:
        """For tests of a model in CI: raise unless the prediction is within a budget.

        Args:
            ms: milliseconds of a run on the clock.
            sample_ms: milliseconds of a prediction: of a run divided by its samples.
            mb: megabytes (10^6 bytes) of memory at the server.
            key_mb: megabytes of keys as they travel.
            up_mb: megabytes of a request.
            bits: bits of precision of every output, at least.

        Raises:
            CircuitError: something is beyond its budget (``BUDGET``); all that is, in one message.
        """
        cost = self.data["cost"]
        most = [
            ("a run", cost["server_ms"], ms, "ms"),
            ("a prediction", cost["sample_ms"], sample_ms, "ms"),
            ("memory", cost["bytes"]["memory"] / 1e6, mb, "MB"),
            ("keys", cost["bytes"]["keys"] / 1e6, key_mb, "MB"),
            ("a request", cost["bytes"]["up"] / 1e6, up_mb, "MB"),
        ]
        over = [
            f"{what} takes {value:.4g} {unit}, {limit:.4g} are allowed"
            for what, value, limit, unit in most
            if limit is not None and value > limit
        ]
        if bits is not None:
            over += [
                f"{name} has {one['bits']:.1f} bits of precision, {bits:.1f} are asked"
                for name, one in self.data["precision"].items()
                if one["bits"] < bits
            ]
        if over:
            raise CircuitError("BUDGET", "; ".join(over), where=self.data["name"])


def report(program: Program, ring: Ring, **options: Any) -> Report:
    """The report of a circuit; `build.build` has the options."""
    return Report(build(program, ring, **options))


def of(plan: Any, **options: Any) -> Report:
    """The report of a compiled model (`hitoku.inference.plan.Plan`); options as of `build.build`."""
    seen = plan.ranges() if plan.samples else None
    known: dict[str, Any] = {
        "name": plan.name,
        "tolerance": plan.tolerance,
        "seen": seen,
        "samples": plan.client.encoder.samples,
        "choice": Choice("", reasons=plan.why),
        "client_learns": tuple(getattr(plan.client.encoder, "learns", ())),
        "notes": plan.notes,
        "rehearsed": True,
    }
    if seen is not None:
        # A plan makes room for scores up to a largest one: so far may all values be beyond those seen.
        largest = max(float(seen.largest[i].max()) for i in plan.program.outputs.values())
        known["margin"] = max(plan.client.scores.largest / max(largest, 1e-300), 1.0)
    return report(plan.program, plan.params, **(known | options))
