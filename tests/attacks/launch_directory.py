# SPDX-License-Identifier: Apache-2.0
"""Run by a test: launch the probe where root may make no namespaces, and print what it tells."""

from __future__ import annotations

import ctypes
import json
import os
import sys

_PR_CAPBSET_DROP = 24
_CAP_SYS_ADMIN = 21


def main() -> None:
    """Give up the right to make namespaces, start anew without it, launch."""
    if len(sys.argv) == 1:
        ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_SYS_ADMIN, 0, 0, 0)
        os.execv(sys.executable, [sys.executable, "-m", "tests.attacks.launch_directory", "again"])
    from tests.attacks import launched as probes

    from hitoku.attestation.launch.start import launch

    with launch(probes.image("look")) as running:
        found = probes.told(running)
    told = {name: found[name] for name in ("user", "passwd", "proc", "write", "make", "root", "descriptors")}
    with launch(probes.image("look", network=True)) as networked:
        told["networked"] = networked.program
    print(json.dumps(told | {"isolation": running.isolation, "program": running.program}))  # noqa: T201


if __name__ == "__main__":
    main()
