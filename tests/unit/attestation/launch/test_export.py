# SPDX-License-Identifier: Apache-2.0
"""Images as files: the same program as the launcher's, and an archive that is the same every time."""

from __future__ import annotations

import importlib.util
import io
import os
import stat
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from hitoku.attestation.launch.export import archive, export
from hitoku.attestation.launch.image import Image, Installation, measure
from hitoku.attestation.program import MACHINE, program_digest
from hitoku.errors import InputError

PACKAGING = Path(__file__).parents[4] / "packaging" / "enclave"


def tiny(place: Path) -> Installation:
    """An installation whose library is a few files."""
    (place / "library").mkdir()
    for name in ("os.py", "stat.py", "abc.py"):
        (place / "library" / name).write_bytes((Installation.here().library / name).read_bytes())
    return replace(Installation.here(), library=place / "library")


def small(place: Path) -> Path:
    for path, content in {"usr/bin/python3": b"12345", "usr/lib/x.py": b"", "boot.py": b"1" * 4096}.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content)
        (place / path).chmod(0o555 if "bin" in path else 0o444)
    return place


def written(place: Path) -> bytes:
    target = io.BytesIO()
    archive(place, target, {"init": b"#!/usr/bin/python3\n"})
    return target.getvalue()


def test_what_is_exported_is_the_program(tmp_path: Path) -> None:
    image = Image((), "x:y", without=("hitoku/",), source=tiny(tmp_path))
    manifest = export(image, tmp_path / "image")
    # The platform is its isolation: no program of the launcher's has its digest.
    launched = measure(image)
    confinement = replace(launched.confinement, isolation=MACHINE)
    assert manifest == replace(launched, confinement=confinement)
    assert program_digest(manifest) != program_digest(launched)
    there = {
        p.relative_to(tmp_path / "image").as_posix() for p in (tmp_path / "image").rglob("*") if p.is_file()
    }
    assert there == set(manifest.files)
    with pytest.raises(InputError, match="cannot be made"):
        export(image, tmp_path / "image")


def test_the_archive_says_nothing_of_the_machine(tmp_path: Path) -> None:
    one = written(small(tmp_path / "one"))
    for file in small(tmp_path / "two").rglob("*"):
        os.utime(file, (1, 1))
    assert written(tmp_path / "two") == one
    assert len(one) % 4 == 0


def read(content: bytes) -> dict[str, tuple[int, bytes]]:
    """Mode and content by path, as the kernel's documentation describes the format."""
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        assert content[at : at + 6] == b"070701"
        numbers = [int(content[place : place + 8], 16) for place in range(at + 6, at + 110, 8)]
        mode, size, length = numbers[1], numbers[6], numbers[11]
        name = content[at + 110 : at + 110 + length]
        assert name[-1:] == b"\0"
        begin = (at + 110 + length + 3) // 4 * 4
        at = (begin + size + 3) // 4 * 4
        if name == b"TRAILER!!!\0":
            assert at == len(content)
            return found
        found[name[:-1].decode()] = (mode, content[begin : begin + size])


def test_the_archive_has_all_files_their_folders_and_a_console(tmp_path: Path) -> None:
    found = read(written(small(tmp_path / "one")))
    assert {path: stat.filemode(mode) for path, (mode, _) in found.items()} == {
        "boot.py": "-r--r--r--",
        "dev": "drwxr-xr-x",
        "dev/console": "crw-------",
        "init": "-r-xr-xr-x",
        "usr": "drwxr-xr-x",
        "usr/bin": "drwxr-xr-x",
        "usr/bin/python3": "-r-xr-xr-x",
        "usr/lib": "drwxr-xr-x",
        "usr/lib/x.py": "-r--r--r--",
    }
    assert found["boot.py"][1] == b"1" * 4096
    assert found["usr/bin/python3"][1] == b"12345"
    names = list(found)
    assert all(names.index(str(Path(n).parent)) < names.index(n) for n in names if "/" in n)


def test_other_kinds_of_files_are_refused(tmp_path: Path) -> None:
    place = small(tmp_path / "one")
    with pytest.raises(InputError, match="name of one that is added"):
        archive(place, io.BytesIO(), {"boot.py": b""})
    (place / "link").symlink_to("boot.py")
    with pytest.raises(InputError, match="files and folders only"):
        written(place)


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("packaging_image", PACKAGING / "image.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_dockerfile_starts_what_the_image_starts(script: ModuleType) -> None:
    import json

    lines = (PACKAGING / "nitro" / "Dockerfile").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("ENTRYPOINT ")]
    image = script.guest_image("nitro")
    command = [word.replace("python3.12", "python3.11") for word in image.command()]
    assert json.loads(line.removeprefix("ENTRYPOINT ")) == command


def test_a_guests_first_program_is_the_images_command(script: ModuleType) -> None:
    image = script.guest_image("tsm")
    content = script.init(image).decode()
    first, *rest = content.splitlines()
    assert first == "#!/usr/bin/python3 -ISB"
    compile("\n".join(rest), "init", "exec")
    assert all(repr(word) in content for word in image.command())
    assert image.command()[-1] == "tsm"


@pytest.mark.parametrize("platform", ["nitro", "tsm"])
def test_guests_have_what_they_import(script: ModuleType, platform: str) -> None:
    paths = {path for path, _, _ in script.guest_image(platform).listed()}
    for name in ("protections/enclave/worker/guest.py", f"attestation/attest/{platform}.py"):
        assert any(path.endswith(f"hitoku/{name}") for path in paths)
