# SPDX-License-Identifier: Apache-2.0
"""Uploads and outputs with the real kernel: what the stand-in of the other tests does, it does too."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.unit.protections.shares.sharing_world import (
    PLAN,
    PROGRAM,
    QUESTION,
    RUN,
    SEEDS,
    SERVERS,
    Terms,
    Upload,
    layout,
    manifest_of,
    table_of,
)

from hitoku.errors import PeerError
from hitoku.hazmat.shares import run_three
from hitoku.ports import NoProgress
from hitoku.protections.shares.operators.loaded import BranchResult, ResultColumn
from hitoku.protections.shares.output.combine import combine
from hitoku.protections.shares.output.share import share
from hitoku.protections.shares.upload.load import Given, load
from hitoku.protections.shares.upload.make import Sharing, kernel_split
from hitoku.protections.shares.upload.spool import Spool
from hitoku.protections.shares.wanted import WantedLeaf

VALUES = [5, -7, None, 2**40, -(2**40), 0]
SUM = -2


def upload() -> Upload:
    leaves = (
        WantedLeaf("trips.0", "a", "number", word=True, ring="r64"),
        WantedLeaf("trips.1", "b", "number", word=True, ring="r128", low=-(2**70), high=2**70),
    )
    asked = table_of(*leaves, group=("a",), rows=8)
    column = pa.array(VALUES, pa.int64())
    sharing = Sharing(asked, pa.table({"0": column, "1": column}), 6, SEEDS, kernel_split, NoProgress())
    explicit = b"".join(sharing.explicit())
    return Upload(manifest_of(sharing, asked), explicit, asked)


def shared(made: Upload, folder: Path, content: bytes) -> list[bytes]:
    """Load at three servers, select the valid rows as they are, and hand them out."""
    changed = Upload(made.manifest, content, made.wanted)

    def serve(party: Any) -> bytes:
        spool = Spool(made.manifest, folder) if party.index == 1 else None
        if spool is not None:
            spool.take(changed.chunks())
        a, b = (None if party.index == 1 else SEEDS[0]), (None if party.index == 2 else SEEDS[1])
        try:
            loaded = load({"trips": Given(made.manifest, a, b, spool)}, party, SERVERS)
        finally:
            if spool is not None:
                spool.close()
        columns = [
            ResultColumn(layout(f"o{n}", facts.type), (loaded.words[facts.name],), loaded.valid[facts.name])
            for n, facts in enumerate(made.manifest.leaves)
        ]
        for facts in made.manifest.leaves:
            total = party.open(party.sum(loaded.ring[facts.name])).ravel().tolist()
            assert sum(word << 64 * n for n, word in enumerate(total)) == SUM % 2 ** (64 * len(total))
        return share(
            party,
            [BranchResult(made.manifest.rows, tuple(columns))],
            run=RUN,
            question=QUESTION,
            plan=PLAN,
            program=PROGRAM,
            released_at=Terms().released_at,
        )

    return run_three(serve)


def test_the_kernel_s_shares_go_from_owner_to_receiver(tmp_path: Path) -> None:
    made = upload()
    (branch,) = combine(shared(made, tmp_path, made.explicit), SERVERS, Terms()).branches
    rows = list(zip(branch.column("o0").to_pylist(), branch.column("o1").to_pylist(), strict=True))
    assert Counter(rows) == Counter([(v, v) for v in VALUES] + [(None, None)] * 2)


def test_with_the_kernel_an_altered_share_ends_the_run(tmp_path: Path) -> None:
    made = upload()
    content = bytearray(made.explicit)
    content[3] ^= 1
    with pytest.raises(PeerError, match="'shop' sent shares"):
        shared(made, tmp_path, bytes(content))
