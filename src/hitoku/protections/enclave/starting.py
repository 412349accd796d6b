# SPDX-License-Identifier: Apache-2.0
"""Starting a worker: what its image is made of, and the launch on this machine.

The image is measured while it is copied, and the copy runs with nothing else in reach
(`hitoku.attestation.launch`). Which attester the worker uses stands in its command line and so in its digest:
members sign reference values of `worker_image` for the platforms that their room accepts.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from hitoku.errors import InputError
from hitoku.protections.enclave.guests import Guest, connect_guest

if TYPE_CHECKING:
    from hitoku.attestation.launch.image import Image
    from hitoku.attestation.launch.start import Launched

__all__ = ["Platform", "Worker", "start_worker", "worker_image"]

Platform = Literal["swtpm", "tpm", "dev", "vsock"]
ENTRY: Final = "hitoku.protections.enclave.worker.main:main"
PACKAGES: Final = (
    "cryptography",
    "duckdb",
    "highspy",
    "numpy",
    "opendp",
    "pyarrow",
    "pydantic",
    "rfc8785",
    "sqlglot",
)
WITHOUT: Final = (
    "hitoku/cli/",
    "hitoku/client/",
    "hitoku/console/",
    "hitoku/demo/",
    "hitoku/node/",
    "hitoku/ask/",
    "hitoku/columns/",
    "hitoku/executors/",
    "hitoku/sources/",
    "hitoku/protections/crosstab/",
    "hitoku/protections/tokens/",
    "hitoku/transport/https/",
    "hitoku/attestation/launch/",
    "hitoku/attestation/roots/",
    *(
        f"hitoku/attestation/verify/{name}"
        for name in ("azure", "nitro", "nvidia", "sev_snp", "snp_", "tdx", "tpm")
    ),
    "duckdb/experimental/",
    "pyarrow/_azurefs",
    "pyarrow/_flight",
    "pyarrow/_gcsfs",
    "pyarrow/_hdfs",
    "pyarrow/_s3fs",
    "pyarrow/flight",
    "pyarrow/libarrow_flight",
    "pyarrow/libarrow_python_flight",
    "pyarrow/libarrow_s3",
)
"""What the worker does not import is not in its image: a change of it changes no digest, and what speaks to
networks is not there at all."""


def worker_image(platform: Platform) -> Image:
    """What a worker is made of.

    Args:
        platform: what attests for it; ``swtpm`` and ``tpm`` are one program.
    """
    from hitoku.attestation.launch.image import Image
    from hitoku.attestation.program import Confinement

    attester = "dev" if platform == "dev" else "tpm"
    # No data is ever lent to a worker; a key on disk comes by a descriptor of its own.
    confinement = Confinement(descriptors=1 if attester == "dev" else 0)
    return Image(packages=PACKAGES, entry=ENTRY, argv=(attester,), without=WITHOUT, confinement=confinement)


class Worker:
    """A worker that runs.

    Args:
        launched: its process.
        beside: what ends with it.
    """

    def __init__(self, launched: Launched, beside: ExitStack) -> None:
        self._launched, self._beside = launched, beside
        self._lock = threading.Lock()
        self._ended = False
        self.program = launched.program
        """The digest of what was launched."""

    @property
    def connection(self) -> socket.socket:
        """The host's end of its channel."""
        return self._launched.channel

    def end(self) -> None:
        """End it, and remove what was made for it. From any thread, more than once."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
        # Whoever waits at the channel hears of it before the process is gone.
        with suppress(OSError):
            self._launched.channel.shutdown(socket.SHUT_RDWR)
        self._launched.close()
        self._beside.close()


def start_worker(platform: Platform, *, device: str | None = None, key: Path | None = None) -> Worker | Guest:
    """Launch a worker on this machine.

    Args:
        platform: ``swtpm``, a software TPM of its own, which shows the flow and protects nothing; ``tpm``,
            the machine's, where nothing else may run: while the worker runs, whoever reaches the TPM can
            attest for it; ``dev``, a key on disk; or ``vsock``, an enclave or guest that waits for a run.
        device: of ``tpm``, its path; of ``vsock``, where it waits, ``CID:PORT``.
        key: of ``dev``, the file of `hitoku.attestation.attest.dev.make_key_file`.

    Raises:
        InputError: something is not installed, or the system does not allow it.
    """
    if platform == "vsock":
        return connect_guest(device or "")
    from hitoku.attestation.launch.start import launch

    image, descriptors, tpm = worker_image(platform), [], None
    with ExitStack() as now, ExitStack() as beside:
        if platform == "swtpm":
            from hitoku.attestation.swtpm import SwTpm

            software = beside.enter_context(SwTpm(private=True))
            tpm = software.descriptor()
            now.callback(os.close, tpm)
        elif platform == "tpm":
            tpm = _opened(Path(device or "/dev/tpmrm0"), os.O_RDWR)
            now.callback(os.close, tpm)
        else:
            if key is None:
                raise InputError("an enclave that attests with a key on disk needs the key's file")
            descriptors.append(_opened(key, os.O_RDONLY))
            now.callback(os.close, descriptors[0])
        launched = launch(image, tpm=tpm, descriptors=descriptors)
        return Worker(launched, beside.pop_all())


def _opened(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from None
