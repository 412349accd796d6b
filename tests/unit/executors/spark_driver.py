# SPDX-License-Identifier: Apache-2.0
"""A driver that tests start, kill and start again: masks batches that a seed tells.

Arguments: master, folder, key of the mask (a file), batches, rows a batch. Writes ``out.arrow`` into the
folder's parent, and prints ``ready`` once Spark has started.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pyarrow as pa

from hitoku.executors.spark import Spark
from hitoku.executors.spark_session import open_session
from hitoku.hazmat import group
from hitoku.protections.crosstab.masking import Masking


def batch(number: int, rows: int) -> pa.RecordBatch:
    """The ids of one batch, in group 0."""
    ids = group.records(hashlib.shake_256(b"batch %d" % number).digest(32 * rows), 32)
    return pa.RecordBatch.from_arrays([ids, pa.array([0] * rows, pa.uint16())], names=["id", "group"])


def main(master: str, folder: str, key: str, batches: str, rows: str) -> None:
    """Mask all batches and write what came out, in order."""
    session = open_session(
        master, {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    )
    spark = Spark(session, Path(folder))
    function = Masking(bytes.fromhex(Path(key).read_text("ascii")), b"test", b"run")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    results = list(spark.map(function, (batch(n, int(rows)) for n in range(int(batches)))))
    with pa.OSFile(str(Path(folder).parent / "out.arrow"), "wb") as sink:
        table = pa.Table.from_batches(results)
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    session.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
