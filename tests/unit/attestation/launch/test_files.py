# SPDX-License-Identifier: Apache-2.0
"""What goes into an image: packages, libraries, the standard library, bytecode."""

from __future__ import annotations

import hashlib
import importlib.util
import marshal
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku.attestation.launch.bytecode import bytecode
from hitoku.attestation.launch.elf import dynamic
from hitoku.attestation.launch.image import Image, Installation, measure
from hitoku.attestation.launch.images import lent, node_image
from hitoku.attestation.launch.libraries import Libraries
from hitoku.attestation.launch.measuring import measured
from hitoku.attestation.launch.packages import module_files, package_files, standard_library
from hitoku.attestation.program import program_digest
from hitoku.errors import InputError
from hitoku.protections.enclave.starting import worker_image

HERE = Installation.here()


def test_an_elf_file_says_what_the_loader_says() -> None:
    found = dynamic(HERE.python)
    assert found is not None
    listed = subprocess.run([found.loader, "--list", HERE.python], capture_output=True, text=True, check=True)
    assert {"libc.so.6", *found.needed} <= {line.split()[0] for line in listed.stdout.splitlines()} | {
        Path(line.split()[0]).name for line in listed.stdout.splitlines()
    }


@given(st.binary(max_size=200), st.booleans())
@settings(max_examples=200)
def test_what_is_no_elf_file_asks_for_nothing(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, head: bool
) -> None:
    path = tmp_path_factory.mktemp("elf") / "x"
    path.write_bytes((b"\x7fELF\x02\x01" if head else b"") + content)
    found = dynamic(path)
    assert found is None or not found.needed


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_cut_elf_file_asks_for_nothing_it_cannot_name(tmp_path: Path, keep: float) -> None:
    content = HERE.python.read_bytes()
    (tmp_path / "x").write_bytes(content[: int(len(content) * keep)])
    dynamic(tmp_path / "x")


@pytest.fixture
def site(tmp_path: Path) -> Callable[..., Path]:
    """Makes an installed distribution."""

    def made(name: str, files: dict[str, str], requires: tuple[str, ...] = ()) -> Path:
        folder = tmp_path / "site"
        info = f"{name}-1.0.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        metadata += "".join(f"Requires-Dist: {text}\n" for text in requires)
        all_ = files | {
            f"{info}/METADATA": metadata,
            f"{info}/direct_url.json": "{}",
            f"{info}/INSTALLER": "x",
        }
        for path, text in all_.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        record = "".join(f"{path},,\n" for path in [*all_, f"{info}/RECORD", "../../../bin/tool"])
        (folder / info / "RECORD").write_text(record)
        return folder

    return made


def test_packages_are_whole_less_what_nothing_imports(site: Callable[..., Path]) -> None:
    folder = site(
        "One",
        {
            "one/__init__.py": "",
            "one/data.json": "",
            "one/tests/test_x.py": "",
            "one/include/x.h": "",
            "one/x.pyx": "",
            "one/__pycache__/__init__.cpython-311.pyc": "",
            "one/deep/inner.py": "",
            "one_hook.pth": "import one",
        },
        (
            "two-b>=1; python_version >= '3'",
            "three ; extra == 'more'",
            "absent (>=2) ; sys_platform == 'win32'",
        ),
    )
    site("two_b", {"two_b.py": ""}, ("one",))
    site("three", {"three.py": ""})
    assert set(package_files(["one"], [folder], ["one/deep/"])) == {
        "One-1.0.dist-info/METADATA",
        "one/__init__.py",
        "one/data.json",
        "two_b-1.0.dist-info/METADATA",
        "two_b.py",
    }


def test_a_package_that_is_not_installed_is_named(site: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="the package absent is not installed"):
        package_files(["absent"], [site("one", {"one.py": ""})], [])


def test_own_modules(tmp_path: Path) -> None:
    for path in ("own/__init__.py", "own/out/x.py", "own/__pycache__/x.pyc", "single.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    assert set(module_files(tmp_path / "own", ["own/out"])) == {"own/__init__.py"}
    assert module_files(tmp_path / "single.py", []) == {"single.py": tmp_path / "single.py"}


def test_the_standard_library_has_no_tests_and_no_packages() -> None:
    found = standard_library(HERE.library)
    assert {"os.py", "json/decoder.py", "encodings/utf_8.py"} <= set(found)
    assert not [
        path for path in found if "site-packages" in path or "/test/" in path or path.startswith("test/")
    ]
    assert not [path for path in found if path.endswith((".pyc", ".a"))]
    assert "sitecustomize.py" not in found


def test_every_library_that_a_file_needs_is_in_the_image() -> None:
    files = {path: Path(outside) for path, outside, _ in worker_image("swtpm").listed()}
    names = {path.rsplit("/", 1)[-1] for path in files}
    kept = [(folder, f"{HERE.place}/site-packages") for folder in HERE.site]
    found = Libraries(HERE.python, kept)
    assert found.loader()[0] in files
    assert f"{found.directory()}/libc.so.6" in files
    assert f"{found.directory()}/libgcc_s.so.1" in files
    for path, outside in files.items():
        asks = dynamic(outside)
        if asks is not None and "lib-dynload" not in path:
            missing = [name for name in asks.needed if name not in names]
            assert not missing, path


def test_bytecode_is_the_same_wherever_and_whenever_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {}
    for number, name in enumerate(["json/decoder.py", "typing.py", "enum.py"]):
        files[f"lib/{name}"] = tmp_path / f"{number}.py"
        files[f"lib/{name}"].write_bytes((HERE.library / name).read_bytes())
    made = []
    for number, order in enumerate((1, -1, 1)):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache{number}"))
        monkeypatch.setenv("PYTHONHASHSEED", str(number))
        found = bytecode(dict(list(files.items())[::order]))
        made.append({path: file.read_bytes() for path, file in found.items()})
        for file in files.values():
            os.utime(file, (number, number))
    assert made[0] == made[1] == made[2]
    assert set(made[0]) == {
        f"lib/{p}.{sys.implementation.cache_tag}.pyc"
        for p in ("json/__pycache__/decoder", "__pycache__/typing", "__pycache__/enum")
    }
    content = made[0][f"lib/__pycache__/enum.{sys.implementation.cache_tag}.pyc"]
    assert content[:4] == importlib.util.MAGIC_NUMBER
    assert content[4:8] == b"\1\0\0\0"  # by hash, unchecked
    assert content[8:16] == importlib.util.source_hash(files["lib/enum.py"].read_bytes())
    assert marshal.loads(content[16:]).co_filename == "/lib/enum.py"
    assert str(tmp_path).encode() not in content


def test_bytecode_of_what_does_not_compile_is_left_out_and_a_changed_cache_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "bad.py").write_text("print 1")
    (tmp_path / "good.py").write_text("X = 1\n")
    files = {"bad.py": tmp_path / "bad.py", "good.py": tmp_path / "good.py", "data.json": tmp_path / "none"}
    found = bytecode(files)
    assert [path for path in found if "bad" in path] == []
    (place,) = found
    kept = found[place].read_bytes()
    found[place].write_bytes(kept + b"changed")
    assert bytecode(files)[place].read_bytes() != kept
    assert bytecode(files, fresh=True)[place].read_bytes() == kept


def test_measuring_hashes_what_it_copies(tmp_path: Path) -> None:
    contents = {"a": b"", "b/c": os.urandom(3 << 20), "b/d": b"x"}
    listed = []
    for number, (path, content) in enumerate(contents.items()):
        (tmp_path / str(number)).write_bytes(content)
        listed.append((path, str(tmp_path / str(number)), path == "a"))
    (tmp_path / "into").mkdir()
    found = measured(listed, str(tmp_path / "into"))
    for path, content in contents.items():
        copied = tmp_path / "into" / path
        assert copied.read_bytes() == content
        assert found[path].sha384 == hashlib.sha384(content).hexdigest()
        assert copied.stat().st_mode & 0o777 == (0o555 if path == "a" else 0o444)
    assert measured(listed) == found


@pytest.mark.parametrize(
    ("path", "outside"),
    [("../x", "1"), ("/x", "1"), ("a//b", "1"), ("a", "none"), ("a", "folder"), ("a", "pipe")],
)
def test_measuring_takes_plain_files_to_plain_places(tmp_path: Path, path: str, outside: str) -> None:
    (tmp_path / "1").write_text("")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "into").mkdir()
    with pytest.raises(InputError):
        measured([(path, str(tmp_path / outside), False)], str(tmp_path / "into"))
    with pytest.raises(InputError, match="twice"):
        measured([("a", str(tmp_path / "1"), False)] * 2)


def test_both_programs_are_whole() -> None:
    for image, missing in (
        (worker_image("swtpm"), "hitoku/cli/main.py"),
        (node_image(), "pandas/__init__.py"),
    ):
        paths = {path for path, _, _ in image.listed()}
        packages = f"{HERE.place}/site-packages"
        assert f"{packages}/hitoku/attestation/program.py" in paths
        assert f"{packages}/duckdb/__init__.py" in paths
        assert f"{packages}/{missing}" not in paths
        assert image.installation == HERE
        assert all(path.isascii() and str(HERE.site[0]) not in path for path in paths)
    assert node_image().command()[-3:] == ("node", "serve", "/member")


def test_what_a_node_is_lent(tmp_path: Path) -> None:
    member, data = tmp_path / "airline", tmp_path / "tables"
    assert lent(member) == {"member": member, "data": None}
    assert lent(member, data) == {"member": member, "data": data}
    # Every node has the same places, whatever is lent to it; a worker has none.
    assert node_image().confinement.lent == tuple(sorted(lent(member)))
    for image, descriptors in (
        (worker_image("swtpm"), 0),
        (worker_image("tpm"), 0),
        (worker_image("dev"), 1),
    ):
        confinement = image.confinement
        assert (confinement.lent, confinement.descriptors) == ((), descriptors)
        assert not confinement.network


def test_an_installation_without_a_library_is_refused(tmp_path: Path) -> None:
    image = Image((), "x:y", source=replace(HERE, library=tmp_path))
    with pytest.raises(InputError, match="standard library"):
        image.listed()


def test_fresh_bytecode_gives_the_same_program(tmp_path: Path) -> None:
    for name in ("os.py", "stat.py", "enum.py"):
        (tmp_path / name).write_bytes((HERE.library / name).read_bytes())
    image = Image((), "x:y", without=("hitoku/",), source=replace(HERE, library=tmp_path))
    first = measure(image)
    assert program_digest(measure(image, fresh=True)) == program_digest(first)
    assert any(path.endswith(".pyc") for path in first.files)
