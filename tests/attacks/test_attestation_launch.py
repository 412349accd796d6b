# SPDX-License-Identifier: Apache-2.0
"""T1: another program has another digest, and nothing but the measured program runs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.attacks import launched as probes
from tests.attestation_tpm import need_swtpm

from hitoku.attestation.attest import tpm as attester
from hitoku.attestation.binding import Binding, bound
from hitoku.attestation.evidence import Evidence
from hitoku.attestation.launch.confine import DIRECTORY, Bound
from hitoku.attestation.launch.image import Installation, measure
from hitoku.attestation.launch.launcher import checked
from hitoku.attestation.launch.measuring import measured
from hitoku.attestation.launch.start import launch
from hitoku.attestation.program import PROGRAM_PCR, Manifest, pcr_of, program_digest
from hitoku.attestation.swtpm import SwTpm
from hitoku.attestation.verify import verify
from hitoku.errors import InputError


@pytest.fixture(scope="module")
def good() -> Manifest:
    """What the unchanged image measures."""
    return measure(probes.image("look"))


@pytest.fixture
def tpm() -> Iterator[int]:
    """A descriptor of a software TPM that nobody else reaches."""
    need_swtpm()
    with SwTpm(private=True, certificate=False) as started:
        descriptor = started.descriptor()
        yield descriptor
        os.close(descriptor)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A copy of what the image is made of, which may be tampered with."""
    here, place = probes.source(), tmp_path_factory.mktemp("copy")
    for folder in here.site:
        for name in ("cbor2", *(found.name for found in folder.glob("cbor2-*.dist-info"))):
            if (folder / name).is_dir():
                shutil.copytree(folder / name, place / "site" / name, dirs_exist_ok=True)
    out = shutil.ignore_patterns("__pycache__", "site-packages", "test", "config-*", "idlelib", "ensurepip")
    shutil.copytree(here.library, place / "library", ignore=out, symlinks=True)
    shutil.copytree(here.own[0], place / "hitoku", ignore=shutil.ignore_patterns("__pycache__", "_core*"))
    shutil.copy(probes.PROBE, place)
    shutil.copy(here.python, place / "python")
    return Installation(
        place / "python",
        place / "library",
        here.place,
        (place / "site",),
        (place / "hitoku", place / probes.PROBE.name),
    )


def test_t1_the_digest_does_not_say_where_the_files_lie(copied: Installation, good: Manifest) -> None:
    found = measure(probes.image("look", made_of=copied))
    assert set(found.files.items()) ^ set(good.files.items()) == set()
    assert found == good


@pytest.mark.parametrize(
    "which",
    [
        "hitoku/attestation/launch/inside.py",
        "launch_probe.py",
        "site/cbor2/__init__.py",
        "site/cbor2/*.so",
        "library/json/decoder.py",
        "library/lib-dynload/_socket*.so",
        "python",
    ],
)
def test_t1_one_byte_of_a_file_gives_another_program(
    copied: Installation, good: Manifest, which: str
) -> None:
    found = sorted(copied.python.parent.glob(which))
    assert found, which
    content = bytearray(found[0].read_bytes())
    mode = found[0].stat().st_mode
    # The last byte: of a .py a newline, of an ELF file its section table, so that the program still runs.
    content[-1] ^= 0x2A if content[-1:] == b"\n" else 0x01
    kept = found[0].read_bytes()
    found[0].write_bytes(content)
    try:
        with launch(probes.image("look", made_of=copied)) as running:
            assert running.program != program_digest(good)
            changed = {path for path, _ in running.manifest.files.items() - good.files.items()}
            # A source and its bytecode, or the file alone.
            assert len(changed) == (2 if which.endswith(".py") else 1)
    finally:
        found[0].write_bytes(kept)
        found[0].chmod(mode)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_t1_any_byte_of_any_file_counts(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    files = _listed()
    path, outside, executable = data.draw(
        st.sampled_from([f for f in files if Path(f[1]).stat().st_size > 0])
    )
    content = bytearray(Path(outside).read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    changed = tmp_path_factory.mktemp("changed") / "file"
    changed.write_bytes(content)
    manifest = measure_cached()
    files_now = dict(manifest.files) | measured([(path, str(changed), executable)])
    assert program_digest(replace(manifest, files=files_now)) != program_digest(manifest)


def test_t1_arguments_environment_confinement_and_modes_count(good: Manifest) -> None:
    path, file = next(iter(good.files.items()))
    others = [
        replace(good, argv=(*good.argv, "--more")),
        replace(good, environment={**good.environment, "LD_PRELOAD": "/lent/x.so"}),
        replace(good, confinement=replace(good.confinement, network=True)),
        replace(good, policy="0" * 96),
        replace(good, files={**good.files, path: replace(file, executable=not file.executable)}),
        replace(good, files={**good.files, "usr/lib/more.so": file}),
        replace(good, files={p: f for p, f in good.files.items() if p != path}),
    ]
    digests = {program_digest(manifest) for manifest in (good, *others)}
    assert len(digests) == len(others) + 1


def test_t1_nothing_outside_the_image_is_mapped_imported_or_reached(
    good: Manifest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('imported')")
    for name, value in (
        ("PYTHONPATH", str(tmp_path)),
        ("LD_LIBRARY_PATH", str(tmp_path)),
        ("HITOKU_X", "secret"),
    ):
        monkeypatch.setenv(name, value)
    with socket.create_server(("127.0.0.1", 0)) as listening, Path(os.devnull).open() as stray:
        os.set_inheritable(stray.fileno(), True)
        port = listening.getsockname()[1]
        with launch(probes.image("look", str(port))) as running:
            found = probes.told(running)
            maps = Path(f"/proc/{running.process.pid}/maps")
            mapped = {
                line.split(maxsplit=5)[5].strip() for line in maps.read_text().splitlines() if "/" in line
            }
    inside = {f"/{path}" for path in good.files}
    assert mapped <= inside
    assert mapped & {"/usr/bin/python3"}
    assert set(found["modules"]) <= inside
    assert {path for path in found["opened"] if path.startswith("/")} <= inside
    assert found["packed"] == "8101"
    assert found["descriptors"] == [0, 1, 2, 3, 4]
    assert set(found["environment"]) == {"HOME", "LC_ALL", "TMPDIR"}
    assert found["passwd"] == "ENOENT"
    assert found["proc"] == "ENOENT"
    assert found["write"] in {"EROFS", "EACCES"}
    assert found["make"] in {"EROFS", "EACCES"}
    if running.isolation == "namespaces":
        assert found["network"] == "ENETUNREACH"
    if os.geteuid() == 0:
        assert found["user"] == 65534


def test_t1_a_file_that_changes_after_it_was_measured_changes_nothing(copied: Installation) -> None:
    probe = copied.own[1]
    kept = probe.read_bytes()
    with launch(probes.image("look", made_of=copied)) as running:
        probe.write_bytes(kept + b"raise SystemExit\n")
        found = probes.told(running)
    probe.write_bytes(kept)
    assert "/usr/lib/" in found["path"][0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can do without namespaces")
def test_t1_without_namespaces_the_root_directory_is_still_the_image(good: Manifest) -> None:
    words = [sys.executable, "-m", "tests.attacks.launch_directory"]
    root = Path(__file__).parents[2]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["isolation"] == DIRECTORY
    # It has the network, and its digest says so: it is not the program that has none.
    weaker = replace(good, confinement=replace(good.confinement, network=True))
    assert found["program"] == program_digest(weaker) != program_digest(good)
    assert found["passwd"] == found["proc"] == "ENOENT"
    assert found["write"] == found["make"] == "EACCES"
    assert found["user"] == 65534
    assert found["descriptors"] == [0, 1, 2, 3, 4]


def test_t1_the_quote_says_which_program_runs(tpm: int) -> None:
    nonce = os.urandom(32)
    with launch(probes.image("quote"), tpm=tpm) as running:
        running.channel.sendall(nonce)
        evidence = Evidence.from_dict(probes.told(running))
    claims = verify(evidence, datetime.now(UTC))
    Binding(nonce, bound("test", [nonce])).check(claims)
    assert claims.measurements["pcr12"] == pcr_of(running.program)
    assert claims.software_rooted
    assert attester.PROGRAM_PCR == PROGRAM_PCR


def test_t1_another_program_that_resets_and_extends_pcrs_does_not_reach_the_value(
    tpm: int, good: Manifest
) -> None:
    wanted = program_digest(good)
    with launch(probes.image("usurp", wanted), tpm=tpm) as running:
        found = probes.told(running)
    assert PROGRAM_PCR in found["refused"]
    assert found["pcrs"]["12"] != pcr_of(wanted)
    # What the attack reaches where a program's value is kept in a PCR that can be reset.
    assert found["pcrs"]["16"] == found["pcrs"]["23"] == pcr_of(wanted)


def test_t1_lent_data_is_no_code(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("#!/usr/bin/python3\n")
    (tmp_path / "data").chmod(0o755)
    cbor2 = next(Path(folder / "cbor2").glob("*.so") for folder in probes.source().site)
    shutil.copy(next(cbor2), tmp_path / "_planted.so")
    with launch(probes.image("borrow"), bound=[Bound("lent", str(tmp_path), writable=False)]) as running:
        found = probes.told(running)
    assert found["read"].startswith("#!")
    assert found["write"] == "EROFS"
    assert found["map"] in {"EPERM", "EACCES"}
    assert found["execute"] == "EACCES"
    assert not found["extension"]


@pytest.mark.parametrize(
    "inside", ["usr/lib", "usr", "boot.py", "usr/bin/python3/x", "tmp", "a/../usr", "usr/new"]
)
def test_t1_lent_data_cannot_cover_what_was_measured(tmp_path: Path, inside: str) -> None:
    with pytest.raises(InputError, match="data"):
        checked([("usr/bin/python3", "x", True), ("boot.py", "y", False)], [Bound(inside, str(tmp_path))])


def test_t1_the_launcher_checks_what_is_lent(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="data would cover measured files"):
        launch(probes.image("look"), bound=[Bound("usr", str(tmp_path))])


_cache: dict[str, object] = {}


def _listed() -> list[tuple[str, str, bool]]:
    if "listed" not in _cache:
        _cache["listed"] = probes.image("look").listed()
    return _cache["listed"]  # type: ignore[return-value]


def measure_cached() -> Manifest:
    """The unchanged image's manifest."""
    if "manifest" not in _cache:
        _cache["manifest"] = measure(probes.image("look"))
    return _cache["manifest"]  # type: ignore[return-value]
