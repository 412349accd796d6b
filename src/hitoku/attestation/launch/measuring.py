# SPDX-License-Identifier: Apache-2.0
"""Measuring files: each is opened once, and the bytes that are hashed are the bytes that are copied.

What runs is the copy. So a file that is changed after it was measured changes nothing that runs, and there
is no moment between the check and the use. Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from hitoku.attestation.program import Measured
from hitoku.errors import InputError

__all__ = ["Listed", "measured"]

_CHUNK: Final = 1 << 20
_THREADS: Final = 4

Listed = tuple[str, str, bool]
"""Path inside the image, file outside, whether it is executable."""


def measured(files: Sequence[Listed], into: str | None = None) -> dict[str, Measured]:
    """Hash every file, and copy it below `into` on the way.

    Args:
        files: no path inside may come twice.
        into: an empty directory of ours, or None to copy nothing.

    Raises:
        InputError: a file cannot be read, or a path is not fit for an image.
    """
    paths = [path for path, _, _ in files]
    if len(set(paths)) < len(paths):
        raise InputError("a path comes twice in the image")
    if into is not None:
        for path in paths:
            if path.startswith("/") or any(part in {"", ".", ".."} for part in path.split("/")):
                raise InputError("a path of an image is relative, without `.` and `..`")
        for folder in sorted({os.path.dirname(path) for path in paths}):  # noqa: PTH120
            os.makedirs(os.path.join(into, folder), 0o755, exist_ok=True)  # noqa: PTH103, PTH118
    with ThreadPoolExecutor(_THREADS) as pool:
        digests = pool.map(lambda file: _one(file, into), files)
        return {
            path: Measured(digest, executable)
            for (path, _, executable), digest in zip(files, digests, strict=True)
        }


def _one(file: Listed, into: str | None) -> str:
    path, outside, executable = file
    content = hashlib.sha384()
    try:
        source = os.open(outside, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise InputError(f"{outside}: cannot be read ({error.strerror})") from None
    target = -1
    try:
        if not stat.S_ISREG(os.fstat(source).st_mode):
            raise InputError(f"{outside}: is no regular file")
        if into is not None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            target = os.open(os.path.join(into, path), flags, 0o600)  # noqa: PTH118
        while chunk := os.read(source, _CHUNK):
            content.update(chunk)
            if target >= 0:
                _write(target, chunk)
        if target >= 0:
            os.fchmod(target, 0o555 if executable else 0o444)
    except OSError as error:
        raise InputError(f"{outside}: cannot be measured ({error.strerror})") from None
    finally:
        os.close(source)
        if target >= 0:
            os.close(target)
    return content.hexdigest()


def _write(target: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(target, rest) :]
