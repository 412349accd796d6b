# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a model: one error that says where, and what to do instead.

Codes (stable): ``FILE`` unreadable or damaged, ``TOO_LARGE`` past a limit, ``FORMAT`` version or type that is
not read here, ``OPERATOR`` an operator without an encrypted counterpart, ``BRANCH`` a graph that is no chain
of layers, ``SHAPE`` sizes that do not fit, ``VALUE`` a constant that is no finite number or out of its range,
``NOT_FITTED`` an estimator that was not trained, ``CALIBRATION`` sample inputs that cannot be used,
``TOLERANCE`` an accuracy that cannot be reached, ``NO_PARAMETERS`` no parameters that are secure and precise,
``RING`` a ring below 128 bits of security, ``RANGE`` an input or score outside its bounds, ``CIRCUIT`` what
belongs to another model, ``KEYS`` evaluation keys that are missing or not needed.
"""

from __future__ import annotations

from typing import Any

from hitoku.errors import InputError

__all__ = ["ModelError"]


class ModelError(InputError):
    """A model that cannot be used as it is. Never quotes an input's values.

    Attributes:
        code: stable upper-case code, see the module.
        where: the operator and the name of the node, layer or attribute, e.g. ``LSTM node "encoder/lstm"``.
        remedy: what to do instead.
    """

    def __init__(
        self, code: str, message: str, *, where: str | None = None, remedy: str | None = None
    ) -> None:
        text = message if where is None else f"{where}: {message}"
        super().__init__(text if remedy is None else f"{text}; {remedy}")
        self.code = code
        self.message = message
        self.where = where
        self.remedy = remedy

    def to_dict(self) -> dict[str, Any]:
        """The error as JSON-ready data."""
        return {**super().to_dict(), "code": self.code, "where": self.where, "remedy": self.remedy}
