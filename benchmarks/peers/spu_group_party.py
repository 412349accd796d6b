# SPDX-License-Identifier: Apache-2.0
"""One party of `spu_group.py`: ``spu_group_party.py FOLDER RANK PORT...``. Only the run itself is timed."""

from __future__ import annotations

import json
import pickle
import sys
import time
from pathlib import Path

import spu  # type: ignore[import-not-found]
import spu.libspu as libspu  # type: ignore[import-not-found]


def loopback() -> int:
    """Bytes that went over this machine's loopback so far, of everybody."""
    rows = Path("/proc/net/dev").read_text("ascii").splitlines()
    return next(int(row.split()[9]) for row in rows if row.strip().startswith("lo:"))


def peak() -> int:
    """The largest resident size of this process so far, in bytes."""
    rows = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(row.split()[1]) * 1024 for row in rows if row.startswith("VmHWM:"))


def main() -> None:
    """Compute."""
    folder, rank, ports = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    description = libspu.link.Desc()
    description.id = "group"
    # The others may still be importing.
    description.recv_timeout_ms = 1_800_000
    for number, port in enumerate(ports):
        description.add_party(str(number), f"127.0.0.1:{port}")
    link = libspu.link.create_brpc(description, rank)
    config = libspu.RuntimeConfig()
    config.ParseFromString((folder / "config").read_bytes())
    executable = libspu.Executable()
    executable.ParseFromString((folder / "program").read_bytes())
    runtime = spu.Runtime(link, config)
    for name, share in zip(("in0", "in1"), pickle.loads((folder / f"{rank}.in").read_bytes()), strict=True):
        runtime.set_var(name, share)
    link.barrier()
    wall, cpu, sent = time.perf_counter(), time.process_time(), loopback()
    runtime.run(executable)
    told = {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "bytes": loopback() - sent,
        "memory": peak(),
    }
    (folder / f"{rank}.out").write_bytes(
        pickle.dumps([runtime.get_var(name) for name in ("out0", "out1", "out2")])
    )
    link.barrier()
    link.stop_link()
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
