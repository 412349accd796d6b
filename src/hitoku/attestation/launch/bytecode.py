# SPDX-License-Identifier: Apache-2.0
"""Bytecode for an image: made here, from the image's own sources, the same bytes on every machine.

Without it a program compiles what it imports whenever it starts, for seconds. Bytecode that an installer
left beside its sources names the machine's paths and times, and nobody measured it: it stays out. What is
made here is part of the image, measured like any other file.

The same source gives the same bytes: the file name in it is the path inside; the file is marked as checked
by the source's hash and never checked at run time (PEP 552), so that it holds no time; and it is
marshalled in version 2, which does not depend on how often an object happens to be referenced, as later
versions do. Sets of constants are marshalled in order since Python 3.11 (bpo-37596). If another machine
nevertheless made other bytes, its program would have another digest and would be refused, never trusted.

What was made is kept in the user's cache folder, by the digest of the source. Who can write there can make
launches fail, no more: the manifest says what really ran. `fresh` makes all of it anew, for whoever is
about to sign a reference value.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import marshal
import os
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hitoku.errors import InputError

__all__ = ["bytecode"]

_SECONDS: Final = 600
_UNCHECKED: Final = 1
_COMPILER: Final = """\
import sys
sys.path.append(sys.argv[1])
from hitoku.attestation.launch.bytecode import _main
_main()
"""


def bytecode(files: Mapping[str, Path], *, fresh: bool = False) -> dict[str, Path]:
    """The bytecode of every source among an image's files: path inside -> file in the cache.

    Args:
        files: path inside -> file outside.
        fresh: make everything anew.

    Raises:
        InputError: a source cannot be read, or the cache not be written.
    """
    folder = _folder()
    wanted, missing = {}, []
    for path, file in files.items():
        if not path.endswith(".py"):
            continue
        try:
            content = file.read_bytes()
        except OSError as error:
            raise InputError(f"{file}: cannot be read ({error.strerror})") from None
        key = hashlib.sha384(path.encode() + b"\0" + content).hexdigest()
        made = folder / key[:2] / key[2:]
        wanted[_place(path)] = made
        if fresh or not made.exists():
            missing.append((path, str(file), str(made)))
    if missing:
        _compile(sorted(missing))
    # An empty file: the source is for another version of Python, or a template; nothing imports it.
    return {path: made for path, made in wanted.items() if made.stat().st_size}


def _place(path: str) -> str:
    folder, _, name = path.rpartition("/")
    compiled = f"__pycache__/{name.removesuffix('.py')}.{sys.implementation.cache_tag}.pyc"
    return f"{folder}/{compiled}" if folder else compiled


def _folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME", "")
    top = Path(home) if home.startswith("/") else Path.home() / ".cache"
    version = f"{sys.implementation.cache_tag}-{importlib.util.MAGIC_NUMBER.hex()}"
    return top / "hitoku" / "bytecode" / version


def _compile(missing: list[tuple[str, str, str]]) -> None:
    """In a process of its own, which has imported nothing but what it needs."""
    root = Path(__file__).parents[3]
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c", _COMPILER, str(root)],
            input=json.dumps(missing).encode(),
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            env={"LC_ALL": "C.UTF-8"},
        )
    except (OSError, subprocess.TimeoutExpired):
        raise InputError("the sources of an image cannot be compiled") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise InputError(
            f"the sources of an image cannot be compiled: {said[-1] if said else 'no reason given'}"
        )


def _main() -> None:
    warnings.simplefilter("ignore")
    for path, source, target in json.load(sys.stdin):
        with open(source, "rb") as file:  # noqa: PTH123
            content = file.read()
        folder = os.path.dirname(target)  # noqa: PTH120
        os.makedirs(folder, 0o700, exist_ok=True)  # noqa: PTH103
        partial = f"{target}.{os.getpid()}"
        with open(partial, "wb") as file:  # noqa: PTH123
            file.write(_bytecode(path, content))
        os.replace(partial, target)  # noqa: PTH105


def _bytecode(path: str, content: bytes) -> bytes:
    try:
        code = compile(content, f"/{path}", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return b""
    head = importlib.util.MAGIC_NUMBER + _UNCHECKED.to_bytes(4, "little")
    return head + importlib.util.source_hash(content) + marshal.dumps(code, 2)
