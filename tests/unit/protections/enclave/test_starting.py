# SPDX-License-Identifier: Apache-2.0
"""A worker as its place launches it: measured, on a TPM of its own, with all that any question needs."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.attestation_tpm import need_swtpm
from tests.conformance import world as conformance
from tests.conformance.questions import QUESTIONS
from tests.enclaves import World, make, refer

from hitoku.attestation.launch.image import measure
from hitoku.attestation.program import pcr_of, program_digest
from hitoku.errors import InputError
from hitoku.protections.enclave.starting import start_worker, worker_image
from hitoku.room.agreement import Agreement

TOTALS = next(asked for asked in QUESTIONS if asked.name == "totals beside their parts")
NOISED = "SELECT c.plan, COUNT(*) AS n, SUM(c.minutes) AS m FROM calls c GROUP BY c.plan"


def data() -> dict[str, Any]:
    """The conformance suite's room, for a TPM in software."""
    members = [{k: v for k, v in m.items() if k != "key"} for m in conformance.AGREEMENT["members"]]
    settings = {"allow_cleartext": True, "allow_duplicates": True, "preserve_nulls": True}
    attestation = {"accept": ["tpm"], "software": True}
    own = {"members": members, "settings": settings, "attestation": attestation, "protections": ["enclave"]}
    return conformance.AGREEMENT | own


def tables() -> dict[str, pa.Table]:
    agreement = Agreement.model_validate(conformance.AGREEMENT | {"settings": data()["settings"]})
    made = {}
    for table in agreement.tables:
        kinds = [(c.name, conformance._ARROW.get(c.name, pa.string())) for c in table.columns]
        rows = conformance._rows(table, random.Random(table.name))
        made[table.name] = pa.Table.from_pylist(rows, pa.schema(kinds))
    return made


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    need_swtpm()
    program = program_digest(measure(worker_image("swtpm")))
    made = make(tmp_path_factory.mktemp("launched"), data(), tables(), program=None)
    refer(made, program, "tpm", measurements={"pcr12": [pcr_of(program)]})
    made.program = program
    return made


@pytest.mark.slow
def test_a_launched_worker_answers_and_withholds(world: World) -> None:
    """Secondary suppression needs a solver, which has to be in the image."""
    answer = world.handle().ask(TOTALS.sql)
    assert answer.num_rows > 1
    assert answer.withheld.further
    assert answer.attestation is not None
    assert answer.attestation["program"] == world.program
    assert answer.attestation["evidence"] == "tpm"


@pytest.mark.slow
def test_a_launched_worker_adds_noise(world: World) -> None:
    """Noise needs opendp, which has to be in the image."""
    answer = world.handle().ask(NOISED)
    assert answer.noise is not None
    assert answer.budget is not None
    assert answer.bands.num_rows == answer.num_rows


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="key's file"):
        start_worker("dev")
    with pytest.raises(InputError, match="cannot be opened"):
        start_worker("dev", key=tmp_path / "none")
    with pytest.raises(InputError, match="cannot be opened"):
        start_worker("tpm", device=str(tmp_path / "none"))


def test_the_image_has_nothing_that_speaks_to_networks() -> None:
    inside = [path for path, _, _ in worker_image("swtpm").listed()]
    for part in (
        "hitoku/node/",
        "hitoku/ask/",
        "hitoku/transport/https/",
        "libarrow_flight",
        "libarrow_s3",
        "httpx/",
    ):
        assert not [path for path in inside if part in path], part
    for part in (
        "enclave/worker/main.py",
        "disclosure/release.py",
        "libarrow.so",
        "_duckdb",
        "opendp",
        "highspy",
    ):
        assert [path for path in inside if part in path], part


def test_what_attests_is_part_of_the_program() -> None:
    assert worker_image("swtpm").command() == worker_image("tpm").command()
    assert worker_image("dev").command() != worker_image("tpm").command()
