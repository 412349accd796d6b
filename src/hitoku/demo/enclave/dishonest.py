# SPDX-License-Identifier: Apache-2.0
"""The demo's dishonest host: a node that starts another program as its worker, or alters what it carries.

``python -m hitoku.demo.enclave.dishonest DIRECTORY`` serves a member's node as `hitoku node serve` does. At
every run it reads from ``dishonest.json`` in the directory what to do; without that file it is honest. All of
it is what a host can do who may change its own machine as it likes: no owner can keep it from trying.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from hitoku.demo.enclave.programs import Altered, source_of
from hitoku.node.enclave import EnclaveDesk
from hitoku.protections.enclave import starting

if TYPE_CHECKING:
    import pyarrow as pa

    from hitoku.attestation.launch.image import Image
    from hitoku.ports import Parcels, Peers
    from hitoku.protections.enclave import Enclave

__all__ = ["ALTER", "honest", "order"]

_FILE: Final = "dishonest.json"
ALTER: Final = "alter"


def order(directory: Path, altered: Altered | None = None) -> None:
    """Tell a dishonest host what to do from now on.

    Args:
        directory: the host's.
        altered: the program to start as a worker; None: the right one, and alter a byte of what is carried.
    """
    content = {"do": ALTER} if altered is None else {"do": "launch", **altered.to_dict()}
    (directory / _FILE).write_text(json.dumps(content), "utf-8")


def honest(directory: Path) -> None:
    """Tell it to be honest."""
    (directory / _FILE).unlink(missing_ok=True)


class _Altering:
    """The way to sealed tables, with one byte of the first chunk changed."""

    def __init__(self, parcels: Parcels) -> None:
        self._parcels = parcels

    def fetch(
        self, member: str, run: str, name: str, schema: pa.Schema, rows: int, wait: float
    ) -> Iterator[pa.RecordBatch]:
        """See `hitoku.ports.Parcels.fetch`."""
        import pyarrow as pa

        for number, batch in enumerate(self._parcels.fetch(member, run, name, schema, rows, wait)):
            if number:
                yield batch
                continue
            values = batch.column(0).to_pylist()
            middle = len(values[0]) // 2
            values[0] = values[0][:middle] + bytes([values[0][middle] ^ 1]) + values[0][middle + 1 :]
            yield pa.record_batch([pa.array(values, batch.schema.field(0).type)], schema=batch.schema)


def _orders(directory: Path) -> Mapping[str, Any]:
    file = directory / _FILE
    found: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {"do": ""}
    return found


def main() -> None:
    """Serve the node."""
    from hitoku.cli.main import main as command

    directory = Path(sys.argv[1])
    right_image, right_enclave = starting.worker_image, EnclaveDesk.enclave

    def image(platform: starting.Platform) -> Image:
        orders, right = _orders(directory), right_image(platform)
        if orders["do"] != "launch":
            return right
        altered = Altered.from_dict(orders)
        return replace(
            right,
            source=source_of(altered),
            entry=altered.entry or right.entry,
            argv=(*right.argv, *altered.argv),
        )

    def enclave(desk: EnclaveDesk, run: str, asker: str, peers: Peers, parcels: Parcels) -> Enclave:
        alters = _orders(directory)["do"] == ALTER
        return right_enclave(desk, run, asker, peers, _Altering(parcels) if alters else parcels)

    with patch.object(starting, "worker_image", image), patch.object(EnclaveDesk, "enclave", enclave):
        command(["node", "serve", str(directory)])


if __name__ == "__main__":
    main()
