# SPDX-License-Identifier: Apache-2.0
"""Plain private set intersection by others, for comparison: two processes on loopback, n x n strings.

They do less than a cross table: one party learns the very intersection, without groups, sums or noise. Each
runs in an environment of its own, because their dependencies do not fit ours::

    peers.measure("spu", 1_000_000)  ->  {"peer": "spu", "wall": 19.8, "cpu": 31.2, ...}
                                     or  {"peer": "spu", "reason": "cannot be installed: ..."}
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["PEERS", "measure", "run_apart"]

_HERE: Final = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Peer:
    """Another program.

    Attributes:
        package: what uv installs, with the version that was tried.
        script: what each party runs.
        what: what it computes, in words.
    """

    package: str
    script: str
    what: str


PEERS: Final = {
    "spu": Peer(
        "spu==0.9.5", "spu_party.py", "ECDH PSI on Curve25519 of SecretFlow's SPU; one party gets the ids"
    ),
    "openmined-psi": Peer(
        "openmined-psi==2.0.6",
        "openmined_party.py",
        "ECDH PSI on P-256 of OpenMined; the client gets the ids",
    ),
}


def measure(name: str, n: int, *, timeout: float = 1_800) -> dict[str, Any]:
    """Intersect n x n strings, 60 % of them in both, once.

    Args:
        name: of `PEERS`.
        n: strings of each party.
        timeout: seconds until it is given up.

    Returns:
        What was measured: ``peer``, ``version``, ``what``, ``n``, ``found`` (the size, checked),
        ``wall`` (seconds from starting both processes until both ended), ``cpu`` (CPU-seconds of both, all
        included), ``protocol_wall`` and ``protocol_cpu`` (without starting Python and importing),
        ``bytes`` (of messages between them, both ways; None if not known) and ``memory`` (peak resident bytes
        of each). Or ``peer`` and ``reason``: why there is nothing to compare with.
    """
    peer = PEERS[name]
    measured = run_apart(peer.package, ["pair.py", str(_HERE / peer.script), str(n)], timeout)
    if "reason" in measured:
        return {"peer": name, **measured}
    version = peer.package.partition("==")[2]
    return {"peer": name, "version": version, "what": peer.what, **measured}


def run_apart(package: str, command: Sequence[str], timeout: float) -> dict[str, Any]:
    """Runs a script of this folder in an environment that has one package and what it needs.

    Args:
        package: what uv installs.
        command: the script's name and its arguments.
        timeout: seconds until it is given up.

    Returns:
        The JSON object in the last line that it printed; or ``reason``: why there is none.
    """
    uv = _uv()
    if uv is None:
        return {"reason": "uv is not there"}
    whole = [uv, "run", "--quiet", "--isolated", "--no-project", "--python", sys.executable]
    whole += ["--with", package, "python", str(_HERE / command[0]), *command[1:]]
    # Neither our own environment nor our sources may reach theirs.
    kept = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")}
    with tempfile.TemporaryDirectory(prefix="peer-") as folder:
        process = subprocess.Popen(
            whole,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**kept, "TMPDIR": folder},
            cwd=folder,
            start_new_session=True,
        )
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            # uv, the script and all parties are one process group of ours.
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return {"reason": f"did not end within {timeout:g} s"}
    if process.returncode != 0:
        lines = [line for line in err.splitlines() if line.strip()]
        return {"reason": lines[-1][:300] if lines else f"ended with {process.returncode}"}
    measured: dict[str, Any] = json.loads(out.splitlines()[-1])
    return measured


def _uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.is_file() else shutil.which("uv")
