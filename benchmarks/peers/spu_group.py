# SPDX-License-Identifier: Apache-2.0
"""A group by sum in SPU: shares a table with two or three processes of `spu_group_party.py`, and measures.

Started inside an environment that has `spu`: ``spu_group.py DATA PROTOCOL FIELD SORT``. DATA is an ``.npz``
with ``key`` and ``value``. Prints one JSON object with what was found and measured.

It sorts by the key, adds up from the start, and marks the last row of each group; the receiver takes
differences of the sums in marked rows. It is written with whole numbers only, over SPU's own sort: the
`groupby_sum` that SPU is packaged with computes with fixed-point numbers, and its sums were not always exact.
So it does less than ours: groups are not brought together, no row is left out for not being valid, and
nothing is compared with a threshold.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax  # type: ignore[import-not-found]
import jax.numpy as jnp  # type: ignore[import-not-found]
import numpy as np
import spu  # type: ignore[import-not-found]
import spu.libspu as libspu  # type: ignore[import-not-found]
import spu.utils.frontend as frontend  # type: ignore[import-not-found]
from pair import ended, free_port  # type: ignore[import-not-found]

PARTY = Path(__file__).with_name("spu_group_party.py")


def grouped(key: Any, value: Any) -> tuple[Any, Any, Any]:
    """Sorted keys, sums from the start, and marks of the last rows of groups; both 0 elsewhere."""
    key, value = jax.lax.sort((key, value), num_keys=1)
    # `cumsum` becomes a sum over windows, of as many additions as rows times rows.
    total = jax.lax.associative_scan(jnp.add, value)
    last = jnp.concatenate([key[1:] != key[:-1], jnp.array([True])]).astype(key.dtype)
    return key * last, total * last, last


def main() -> int:
    """Run it once, print what was measured."""
    source, protocol, field, sort = sys.argv[1:]
    jax.config.update("jax_enable_x64", field == "FM64")
    kind = np.int64 if field == "FM64" else np.int32
    with np.load(source) as data:
        columns = [data["key"].astype(kind), data["value"].astype(kind)]
    world = 3 if protocol == "ABY3" else 2
    config = libspu.RuntimeConfig(
        protocol=getattr(libspu.ProtocolKind, protocol), field=getattr(libspu.FieldType, field)
    )
    config.sort_method = getattr(libspu.RuntimeConfig.SortMethod, f"SORT_{sort}")
    executable, _ = frontend.compile(
        frontend.Kind.JAX,
        grouped,
        columns,
        {},
        ["in0", "in1"],
        [libspu.Visibility.VIS_SECRET] * 2,
        lambda flat: [f"out{place}" for place in range(len(flat))],
    )
    io = spu.Io(world, config)
    shares = [io.make_shares(column, libspu.Visibility.VIS_SECRET) for column in columns]
    with tempfile.TemporaryDirectory(prefix="spu-") as name:
        folder = Path(name)
        (folder / "program").write_bytes(executable.SerializeToString())
        (folder / "config").write_bytes(config.SerializeToString())
        for rank in range(world):
            (folder / f"{rank}.in").write_bytes(pickle.dumps([share[rank] for share in shares]))
        ports = [str(free_port()) for _ in range(world)]
        parties = []
        for rank in range(world):
            command = [sys.executable, str(PARTY), str(folder), str(rank), *ports]
            with (folder / f"{rank}.json").open("wb") as out, (folder / f"{rank}.err").open("wb") as err:
                parties.append(subprocess.Popen(command, stdout=out, stderr=err, cwd=folder))
        for party in parties:
            ended(party)
        for rank, party in enumerate(parties):
            if party.returncode != 0:
                sys.stderr.write((folder / f"{rank}.err").read_text(errors="replace")[-2_000:])
                return 1
        told = [
            # The library logs to the same stream.
            json.loads(next(row for row in (folder / f"{rank}.json").open() if row.startswith("{")))
            for rank in range(world)
        ]
        parts = [pickle.loads((folder / f"{rank}.out").read_bytes()) for rank in range(world)]
    key, total, last = (io.reconstruct(list(column)) for column in zip(*parts, strict=True))
    kept = np.flatnonzero(last)
    result = {
        "parties": world,
        "wall": max(one["wall"] for one in told),
        "cpu": sum(one["cpu"] for one in told),
        "bytes": told[0]["bytes"],
        "memory": [one["memory"] for one in told],
        "keys": key[kept].tolist(),
        "sums": np.diff(total[kept].astype(kind), prepend=kind(0)).tolist(),
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
