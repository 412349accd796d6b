# SPDX-License-Identifier: Apache-2.0
"""Run by a test: launch the probe with a TPM, print its digest, and be killed; the program ends by itself."""

from __future__ import annotations

import os
import signal
import sys

from tests.attacks import launched as probes

from hitoku.attestation.launch.start import launch


def main() -> None:
    """Launch, and be gone."""
    running = launch(probes.image("look"), tpm=int(sys.argv[1]))
    probes.told(running)
    sys.stdout.write(running.program)
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
