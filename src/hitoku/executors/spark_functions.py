# SPDX-License-Identifier: Apache-2.0
"""The kernels' maps over records as objects that travel: secrets as bytes, one thread each.

They hold a party's secret scalar. Pickled they hold it too: only `Spark` may send them, which seals them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

__all__ = ["Mask", "Raise", "Tag"]


@dataclass(frozen=True, slots=True)
class Mask:
    """Ids to masked points (`hazmat.group.mask`).

    Attributes:
        key: the run's scalar, 32 bytes (`Key.to_bytes`).
        domain: what the ids are.
        run: the run's id.
    """

    key: bytes = field(repr=False)
    domain: bytes
    run: bytes

    def __call__(self, ids: pa.Array) -> pa.Array:
        """The points of a batch of ids, in their order."""
        from hitoku.hazmat import group

        return group.mask(ids, group.load_key(self.key), domain=self.domain, run=self.run, threads=1)


@dataclass(frozen=True, slots=True)
class Raise:
    """Another party's points to points (`hazmat.group.raise_points`).

    Attributes:
        key: the run's scalar, 32 bytes.
        at: where in a record the point begins.
    """

    key: bytes = field(repr=False)
    at: int = 0

    def __call__(self, records: pa.Array) -> pa.Array:
        """The points of a batch of records, in their order."""
        from hitoku.hazmat import group

        return group.raise_points(records, group.load_key(self.key), at=self.at, threads=1)


@dataclass(frozen=True, slots=True)
class Tag:
    """Another party's points to tags of 12 bytes (`hazmat.group.tags`).

    Attributes:
        key: the run's scalar, 32 bytes.
        at: where in a record the point begins.
    """

    key: bytes = field(repr=False)
    at: int = 0

    def __call__(self, records: pa.Array) -> pa.Array:
        """The tags of a batch of records, in their order."""
        from hitoku.hazmat import group

        return group.tags(records, group.load_key(self.key), at=self.at, threads=1)
