# SPDX-License-Identifier: Apache-2.0
"""The clients that take part: AWS's SDK in one JVM for many jobs, the reference, and hitoku."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hitoku import columns
from hitoku.errors import HitokuError
from hitoku.room.settings import Settings

from . import reference
from .cases import ID, SECRET


@dataclass(frozen=True)
class Outcome:
    """What came of a job."""

    ok: bool
    error: str | None
    seconds: float = 0.0


Job = dict[str, Any]


class Peer(Protocol):
    """Whoever encrypts and decrypts files."""

    def run(self, jobs: Sequence[Job]) -> dict[str, Outcome]:
        """Does the jobs; the outcomes by the jobs' names."""
        ...


class Aws:
    """AWS's own client, through its SDK."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._command = list(command)
        self._folder = folder

    def run(self, jobs: Sequence[Job]) -> dict[str, Outcome]:
        batch = self._folder / "jobs.json"
        batch.write_text(json.dumps({"jobs": list(jobs)}), encoding="utf-8")
        done = subprocess.run(
            [*self._command, str(batch)],
            capture_output=True,
            encoding="utf-8",
            env=os.environ | {"C3R_SHARED_SECRET": base64.b64encode(SECRET).decode()},
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        # AWS's client logs to standard output too.
        lines = [json.loads(row) for row in done.stdout.splitlines() if row.startswith('{"name"')]
        return {line["name"]: Outcome(line["ok"], line.get("error"), line["seconds"]) for line in lines}


class Reference:
    """The second implementation in `reference.py`."""

    def run(self, jobs: Sequence[Job]) -> dict[str, Outcome]:
        outcomes = {}
        for job in jobs:
            work = reference.encrypt_file if job["mode"] == "encrypt" else reference.decrypt_file
            try:
                work(job, SECRET)
            except (reference.ForbiddenError, KeyError) as problem:
                outcomes[job["name"]] = Outcome(ok=False, error=str(problem))
            else:
                outcomes[job["name"]] = Outcome(ok=True, error=None)
        return outcomes


class Hitoku:
    """Ours."""

    def run(self, jobs: Sequence[Job]) -> dict[str, Outcome]:
        outcomes = {}
        for job in jobs:
            options: dict[str, Any] = {
                "overwrite": True,
                "csv_input_null": job["csvInputNull"],
                "csv_output_null": job["csvOutputNull"],
            }
            try:
                if job["mode"] == "encrypt":
                    settings = Settings(
                        allow_cleartext=job["settings"]["allowCleartext"],
                        allow_duplicates=job["settings"]["allowDuplicates"],
                        allow_joins_on_columns_with_different_names=job["settings"][
                            "allowJoinsOnColumnsWithDifferentNames"
                        ],
                        preserve_nulls=job["settings"]["preserveNulls"],
                    )
                    schema = Path(job["tempDir"]) / f"{job['name']}.schema.json"
                    schema.write_text(job["schema"], encoding="utf-8")
                    columns.encrypt(
                        Path(job["source"]), Path(job["target"]), schema, settings, ID, SECRET, **options
                    )
                else:
                    columns.decrypt(Path(job["source"]), Path(job["target"]), ID, SECRET, **options)
            except HitokuError as problem:
                outcomes[job["name"]] = Outcome(ok=False, error=str(problem))
            else:
                outcomes[job["name"]] = Outcome(ok=True, error=None)
        return outcomes
