# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a circuit or with its use.

Codes (stable): ``SHAPE`` sizes that do not fit, ``NUMBER`` a number outside its range, ``NAME`` a name
taken or malformed, ``VALUE`` a value of another circuit, ``PARTS`` a product that needs relinearising,
``LEVEL`` and ``NO_PRIMES`` primes that are not there, ``SCALE`` values whose scales differ, ``OVERFLOW`` a
value that may leave the modulus, ``RANGE`` an input beyond its bound, ``INPUT`` and ``OUTPUT`` one missing,
``KEYS`` a key that is missing, ``TOO_LARGE`` past a limit, ``FORMAT`` bytes that are no circuit, ``BUDGET`` a
budget that is exceeded, ``DRIFT`` an error beyond the predicted one.
"""

from __future__ import annotations

from hitoku.inference.errors import ModelError

__all__ = ["CircuitError"]


class CircuitError(ModelError):
    """A circuit that cannot be built, read or run as asked. Never quotes a value of an input.

    `where` is the operation, e.g. ``conv1/square (node 3)``.
    """
