# SPDX-License-Identifier: Apache-2.0
"""Everything random in a side's run, drawn once and stored before anything leaves: keys, seeds, noise.

A message is a function of the input, the terms and these draws, so a run that is taken up again repeats its
messages byte for byte. Fresh noise for a repeated message would let the other side average it away; a mask
for a changed input would show it who changed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import Any, Final

from hitoku.errors import SecretError
from hitoku.protections.crosstab.noise import draw
from hitoku.protections.crosstab.terms import Parameters, Side

__all__ = ["Draws"]

_FORMAT: Final = "hitoku/crosstab/secrets/1"
_SEED: Final = 32


@dataclass(frozen=True, slots=True, repr=False)
class Draws:
    """One side's secrets of one run; all of them are its own, and none is ever sent.

    Attributes:
        side: whose.
        parameters: the hash of the parameters they are for.
        input: the digest of the one input they are for.
        mask: alpha or beta, 32 bytes.
        seed: 32 bytes that padding, the choice of dummies and the ciphertexts' randomness come from.
        elgamal: b's key, 32 bytes, where values are summed.
        counts: side b: tau, how many dummies of each cell it takes, 0 to 2 m. Side a: eta, its noise of each
            count, -m to m.
        sums: noise of each cell of each sum.
        padding: random records added to each group, 0 to 2 m.
    """

    side: Side
    parameters: str
    input: str
    mask: bytes
    seed: bytes
    elgamal: bytes | None
    counts: tuple[int, ...]
    sums: tuple[tuple[int, ...], ...]
    padding: tuple[int, ...]

    @classmethod
    def draw(cls, side: Side, parameters: Parameters, digest: str) -> Draws:
        """Fresh ones, for the input of that digest."""
        from hitoku.hazmat import group

        m = parameters.m
        counts = draw(parameters.scale(), m, parameters.cells)
        if side == "b":
            counts = [m + noise for noise in counts]
        sums = tuple(
            tuple(draw(parameters.scale(number), offset, parameters.cells))
            for number, offset in enumerate(parameters.offsets)
        )
        padding = [m + noise for noise in draw(parameters.scale(), m, parameters.groups(side))]
        elgamal = group.new_elgamal_key().to_bytes() if side == "b" and parameters.sums else None
        return cls(
            side=side,
            parameters=parameters.hash,
            input=digest,
            mask=group.new_key().to_bytes(),
            seed=secrets.token_bytes(_SEED),
            elgamal=elgamal,
            counts=tuple(counts),
            sums=sums,
            padding=tuple(padding),
        )

    def seed_for(self, use: str) -> bytes:
        """32 secret bytes for one use of the seed."""
        return hmac.new(self.seed, b"hitoku/crosstab/seed/1\n" + use.encode(), hashlib.sha256).digest()

    def dump(self) -> bytes:
        """As JSON, for a file that only its owner may read."""
        return json.dumps(
            {
                "format": _FORMAT,
                "side": self.side,
                "parameters": self.parameters,
                "input": self.input,
                "mask": self.mask.hex(),
                "seed": self.seed.hex(),
                "elgamal": None if self.elgamal is None else self.elgamal.hex(),
                "counts": self.counts,
                "sums": self.sums,
                "padding": self.padding,
            }
        ).encode()

    @classmethod
    def load(cls, data: bytes) -> Draws:
        """What `dump` gave.

        Raises:
            SecretError: it is something else.
        """
        try:
            found: dict[str, Any] = json.loads(data)
            if found["format"] != _FORMAT or found["side"] not in ("a", "b"):
                raise ValueError
            return cls(
                side=found["side"],
                parameters=found["parameters"],
                input=found["input"],
                mask=bytes.fromhex(found["mask"]),
                seed=bytes.fromhex(found["seed"]),
                elgamal=None if found["elgamal"] is None else bytes.fromhex(found["elgamal"]),
                counts=tuple(found["counts"]),
                sums=tuple(tuple(cells) for cells in found["sums"]),
                padding=tuple(found["padding"]),
            )
        except (ValueError, KeyError, TypeError):
            raise SecretError("the secrets of the run are damaged") from None
