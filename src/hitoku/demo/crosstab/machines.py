# SPDX-License-Identifier: Apache-2.0
"""Members' machines in the attested demo: each has a TPM (in software) and launches its node measured.

A machine that is switched on again has the same TPM, its endorsement key with it, and PCRs as after a reset.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import hitoku
from hitoku.attestation.launch.image import Installation
from hitoku.attestation.launch.images import lent, node_image
from hitoku.attestation.launch.start import Launched, launch
from hitoku.attestation.swtpm import SwTpm
from hitoku.errors import PeerError
from hitoku.node.settings import NodeSettings

__all__ = ["Machine", "machines", "tampered"]

_START_SECONDS: Final = 180


class Machine:
    """One member's machine.

    Args:
        member: its directory.
        log: where its node's log goes.
    """

    def __init__(self, member: Path, log: Path) -> None:
        self.member, self.log = member, log
        self.tpm = SwTpm(private=True)
        self._node: Launched | None = None

    @property
    def authority(self) -> str:
        """The certificate of the TPM maker's authority, as agreements have it."""
        root = x509.load_pem_x509_certificates(self.tpm.chain)[-1]
        return base64.b64encode(root.public_bytes(Encoding.DER)).decode()

    def start(self, source: Installation | None = None) -> str:
        """Launch the node and wait until it listens. Returns the digest that was measured.

        It sees its member's directory and nothing else of this machine.

        Args:
            source: the installation that it is made of.

        Raises:
            InputError: it cannot be launched.
            PeerError: it does not listen.
        """
        descriptor = self.tpm.descriptor()
        try:
            with self.log.open("ab") as log:
                self._node = launch(
                    node_image(source),
                    tpm=descriptor,
                    lent=lent(self.member),
                    output=log.fileno(),
                )
        finally:
            os.close(descriptor)
        host, port = NodeSettings.open(self.member).listen.rsplit(":", 1)
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until and self._node.process.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection((host, int(port)), timeout=1).close()
                return self._node.program
            time.sleep(0.05)
        raise PeerError(f"the node of {self.member.name!r} does not start: see {self.log}")

    def reset(self) -> None:
        """End the node, and switch the machine off and on again."""
        self.stop()
        self.tpm.halt()
        self.tpm.resume()

    def stop(self) -> None:
        """End the node."""
        if self._node is not None:
            self._node.close()
            self._node = None


@contextlib.contextmanager
def machines(place: Path, names: tuple[str, ...]) -> Iterator[dict[str, Machine]]:
    """A machine for each member, until the block ends.

    Raises:
        InputError: swtpm is not installed.
    """
    made = {name: Machine(place / name, place / f"{name}.log") for name in names}
    with contextlib.ExitStack() as stack:
        for machine in made.values():
            stack.enter_context(machine.tpm)
            stack.callback(machine.stop)
        yield made


def tampered(place: Path, file: str) -> Installation:
    """This installation with a copy of hitoku in which one byte of one file is another: a letter's case.

    Args:
        place: where the copy is made.
        file: which module, relative to the package; the first letter of its docstring changes.
    """
    package = Path(hitoku.__file__).parent
    copy = place / package.name
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    path = copy / file
    content = bytearray(path.read_bytes())
    content[content.index(b'"""') + 3] ^= 0x20
    path.write_bytes(bytes(content))
    here = Installation.here()
    return replace(here, own=(copy, *here.own[1:]))
