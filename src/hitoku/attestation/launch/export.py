# SPDX-License-Identifier: Apache-2.0
"""Images as files, for platforms that measure them without our launcher.

A Nitro enclave is measured with its file system (PCR 0 to 2), a confidential virtual machine with its first
file system in memory (SEV-SNP's measurement with kernel hashes, TDX's RTMRs). Both are made of the files that
`hitoku.attestation.launch.image` lists, so one manifest describes the program on every platform. Same files,
same bytes: the archive is in order, without times, owners or numbers of the machine that made it.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final

from hitoku.attestation.launch.image import ENVIRONMENT, Image
from hitoku.attestation.launch.measuring import measured
from hitoku.attestation.program import MACHINE, Manifest
from hitoku.errors import InputError

__all__ = ["archive", "export"]

_MAGIC: Final = b"070701"
_TRAILER: Final = "TRAILER!!!"
_CONSOLE: Final = ("dev/console", stat.S_IFCHR | 0o600, 5, 1)
_CHUNK: Final = 1 << 20


def export(image: Image, directory: Path) -> Manifest:
    """Copy an image into a new directory, and measure what was copied. All bytecode is made anew.

    Raises:
        InputError: the directory is there, or see `Image.listed`.
    """
    files = image.listed(fresh=True)
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{directory}: cannot be made ({error.strerror})") from None
    found = measured(files, str(directory))
    confinement = replace(image.confinement, isolation=MACHINE)
    return Manifest(found, image.command(), ENVIRONMENT, confinement, image.policy)


def archive(directory: Path, target: BinaryIO, more: Mapping[str, bytes]) -> None:
    """Write a directory as the first file system in memory of a Linux kernel (cpio, "newc").

    The format: the kernel's ``Documentation/driver-api/early-userspace/buffer-format.rst``.

    Args:
        directory: files and folders, nothing else.
        target: where to write.
        more: executable files beside them, such as ``init``, by path.

    Raises:
        InputError: something else than a file or folder is there, or a file is in both.
    """
    writer = _Writer(target)
    paths = {path.relative_to(directory).as_posix(): path for path in _walk(directory)}
    if not set(paths).isdisjoint(more):
        raise InputError("a file of the image has the name of one that is added")
    folders = {"dev"}
    for path in (*paths, *more):
        folders |= {str(parent) for parent in Path(path).parents if str(parent) != "."}
    for folder in sorted(folders):
        writer.head(folder, stat.S_IFDIR | 0o755)
    name, mode, major, minor = _CONSOLE  # without it the first process has no standard streams
    writer.head(name, mode, device=(major, minor))
    for path in sorted({*paths, *more}):
        if path in more:
            writer.head(path, stat.S_IFREG | 0o555, len(more[path]))
            writer.content([more[path]])
            continue
        status = paths[path].stat()
        writer.head(path, stat.S_IFREG | (status.st_mode & 0o777), status.st_size)
        with paths[path].open("rb") as file:
            writer.content(iter(lambda file=file: file.read(_CHUNK), b""))  # type: ignore[misc]
    writer.head(_TRAILER, 0)


def _walk(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            yield path
        elif not stat.S_ISDIR(mode):
            raise InputError(f"{path}: an image has files and folders only")


class _Writer:
    """Entries, each padded to 4 bytes."""

    def __init__(self, target: BinaryIO) -> None:
        self._target, self._number = target, 0

    def head(self, name: str, mode: int, size: int = 0, device: tuple[int, int] = (0, 0)) -> None:
        """An entry without its content."""
        self._number += 1
        path = name.encode("ascii") + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        #         number        mode  uid gid links time size  device of the file, of the node  name, check
        fields = (self._number, mode, 0, 0, links, 0, size, 0, 0, *device, len(path), 0)
        head = _MAGIC + b"".join(f"{field:08X}".encode() for field in fields) + path
        self._target.write(head + bytes(-len(head) % 4))

    def content(self, pieces: Iterator[bytes] | list[bytes]) -> None:
        """The content of the entry before."""
        size = 0
        for piece in pieces:
            self._target.write(piece)
            size += len(piece)
        self._target.write(bytes(-size % 4))
