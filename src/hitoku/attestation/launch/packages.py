# SPDX-License-Identifier: Apache-2.0
"""The files of installed packages and of the standard library, by the path that they have inside an image.

Packages are whole, less what no program imports: tests, headers, sources of extensions, stubs, bytecode.
Their dependencies come along, as their metadata names them. What an installer writes for itself (RECORD,
direct_url, scripts with the interpreter's path) stays out: it differs between machines.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import Distribution, MetadataPathFinder, PackageNotFoundError
from pathlib import Path
from typing import Final

from hitoku.errors import InputError

__all__ = ["module_files", "package_files", "standard_library"]

_NOT_IMPORTED: Final = frozenset({"tests", "__pycache__", "include"})
_NOT_SUFFIXES: Final = frozenset(
    {
        ".pyc",
        ".pyo",
        ".pyi",
        ".pth",
        ".pxd",
        ".pxi",
        ".pyx",
        ".h",
        ".hpp",
        ".c",
        ".cc",
        ".cpp",
        ".a",
        ".lib",
        ".exe",
    }
)
_METADATA: Final = frozenset({"METADATA", "entry_points.txt", "top_level.txt"})
_NOT_STANDARD: Final = frozenset(
    {
        "site-packages",
        "dist-packages",
        "idlelib",
        "tkinter",
        "turtledemo",
        "ensurepip",
        "lib2to3",
        "distutils",
        "venv",
        "pydoc_data",
        # Hooks of the machine, not of Python.
        "sitecustomize.py",
        "usercustomize.py",
    }
)
_TEST_EXTENSION: Final = re.compile(r"(_test|_ctypes_test|_xxtest|xxlimited|_tkinter)")
_REQUIREMENT: Final = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*([^;]*)(?:;(.*))?")


def package_files(names: Iterable[str], site: Sequence[Path], without: Sequence[str]) -> dict[str, Path]:
    """The files of distributions and all that they depend on, by path below ``site-packages``.

    Args:
        names: of distributions; `hitoku` itself is left to `module_files`.
        site: directories where packages are installed.
        without: beginnings of paths that are left out.

    Raises:
        InputError: a distribution is not installed.
    """
    found: dict[str, Path] = {}
    for distribution in _closure(names, site):
        for file in distribution.files or ():
            path = file.as_posix()
            if not _wanted(path) or path.startswith(tuple(without)):
                continue
            found[path] = Path(str(file.locate()))
    return found


def module_files(module: Path, without: Sequence[str]) -> dict[str, Path]:
    """The files of one package's directory, or of one module, by path below ``site-packages``."""
    if module.is_file():
        return {module.name: module}
    found = {f"{module.name}/{path}": file for path, file in _walk(module) if _wanted(path)}
    return {path: file for path, file in found.items() if not path.startswith(tuple(without))}


def standard_library(directory: Path) -> dict[str, Path]:
    """The standard library's files, by path below its directory."""
    found = {}
    for path, file in _walk(directory, _NOT_STANDARD):
        *folders, name = path.split("/")
        if (folders and folders[0].startswith("config-")) or "test" in folders or not _wanted(path):
            continue
        if _TEST_EXTENSION.match(name) and name.endswith(".so"):
            continue
        found[path] = file
    return found


def _walk(top: Path, without: frozenset[str] = frozenset()) -> Iterator[tuple[str, Path]]:
    """Files below a directory; `without` are names at the top."""
    start = str(top)
    for folder, folders, files in os.walk(start):
        skipped = _NOT_IMPORTED | without if folder == start else _NOT_IMPORTED
        folders[:] = sorted(set(folders) - skipped)
        place = folder[len(start) :].lstrip("/")
        for name in sorted(set(files) - skipped):
            yield (f"{place}/{name}" if place else name), Path(folder, name)


def _wanted(path: str) -> bool:
    *folders, name = path.split("/")
    if not _NOT_IMPORTED.isdisjoint(folders) or ".." in folders or path.startswith("/"):
        return False
    if folders and folders[0].endswith((".dist-info", ".egg-info")):
        return len(folders) == 1 and name in _METADATA
    return os.path.splitext(name)[1] not in _NOT_SUFFIXES and path.isascii()  # noqa: PTH122


def _closure(names: Iterable[str], site: Sequence[Path]) -> list[Distribution]:
    """Distributions and what they require, without extras."""
    found: dict[str, Distribution | None] = {}
    open_ = [(name, True) for name in names]
    while open_:
        name, must = open_.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found or key == "hitoku":
            continue
        distribution = found[key] = _distribution(key, site)
        if distribution is None:
            # A requirement of another system or version is not installed, and nothing can import it.
            if must:
                raise InputError(f"the package {name} is not installed; install the extra `attestation`")
            continue
        for requirement in distribution.requires or ():
            matched = _REQUIREMENT.fullmatch(requirement)
            if matched and "extra" not in (matched[3] or ""):
                open_.append((matched[1], False))
    return [distribution for _, distribution in sorted(found.items()) if distribution is not None]


def _distribution(key: str, site: Sequence[Path]) -> Distribution | None:
    from importlib.metadata import DistributionFinder

    context = DistributionFinder.Context(name=key, path=[str(folder) for folder in site])
    try:
        return next(iter(MetadataPathFinder.find_distributions(context)), None)
    except PackageNotFoundError:
        return None
