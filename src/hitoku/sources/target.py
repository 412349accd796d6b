# SPDX-License-Identifier: Apache-2.0
"""A file that appears whole under its name, or not at all; also after SIGKILL or on a full disk.

While it is written the file has no name (`O_TMPFILE`), so that whatever ends the process, nothing
remains. Where the file system cannot do that, it is called `<name>.partial-<random>` in the same
folder and removed on any failure; only SIGKILL can leave one, which is then easily told.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import pyarrow as pa

from hitoku.errors import InputError

__all__ = ["NewFile"]

_CANNOT = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT, errno.EPERM}
_SETTLE_BYTES = 32 * 1024 * 1024


class NewFile:
    """A context manager; the file gets its name by `commit`, and only then.

    Args:
        path: the file's name when it is whole.
        overwrite: whether a file of that name may be replaced.

    Raises:
        InputError: the file exists and may not be replaced, or cannot be made or written.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.path = path
        self._overwrite = overwrite
        self._partial: Path | None = None
        self._committed = False
        self._settled = 0
        if path.is_dir():
            raise InputError(f"{path.name} is a folder")
        if not overwrite and path.exists():
            raise InputError(f"{path.name} exists already: choose another name or --overwrite")

    def __enter__(self) -> NewFile:
        folder = self.path.parent
        try:
            self.file: BinaryIO = os.fdopen(self._unnamed(folder), "wb", buffering=1 << 20)
        except OSError as error:
            raise _explain(self.path, error) from None
        return self

    def _unnamed(self, folder: Path) -> int:
        flag = getattr(os, "O_TMPFILE", None)
        if flag is not None and Path("/proc/self/fd").is_dir():
            try:
                return os.open(folder, flag | os.O_RDWR | os.O_CLOEXEC, 0o600)
            except OSError as error:
                if error.errno not in _CANNOT or not folder.is_dir():
                    raise
        self._partial = folder / f"{self.path.name}.partial-{secrets.token_hex(8)}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        return os.open(self._partial, flags, 0o600)

    @property
    def opened(self) -> Path:
        """A path that opens the file while it has no name yet."""
        return self._partial or Path(f"/proc/self/fd/{self.file.fileno()}")

    def native(self) -> pa.NativeFile:
        """The same file for Arrow's writers, which then need neither Python nor its lock."""
        return pa.OSFile(str(self.opened), "wb")

    def settle(self) -> None:
        """Let the disk begin with what has been written, so that `commit` need not wait for all."""
        handle = self.file.fileno()
        size = os.fstat(handle).st_size
        if size - self._settled >= _SETTLE_BYTES and hasattr(os, "posix_fadvise"):
            with contextlib.suppress(OSError):  # only advice
                os.posix_fadvise(handle, self._settled, size - self._settled, os.POSIX_FADV_DONTNEED)
            self._settled = size

    def commit(self) -> None:
        """Write everything to the disk and give the file its name.

        Raises:
            InputError: the disk is full, or a file of that name has appeared meanwhile.
        """
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
            if self._partial is None:
                self._link()
            else:
                self._move(self._partial)
            self._committed = True
            self.file.close()
            _sync_folder(self.path.parent)
        except OSError as error:
            raise _explain(self.path, error) from None

    def _link(self) -> None:
        # linkat() of a file without a name goes through its entry in /proc. With a `dir_fd` Python
        # calls linkat and honours follow_symlinks.
        source = f"/proc/self/fd/{self.file.fileno()}"
        if not self._overwrite:
            _linkat(source, self.path)
            return
        self._partial = self.path.with_name(f"{self.path.name}.partial-{secrets.token_hex(8)}")
        _linkat(source, self._partial)
        self._move(self._partial)

    def _move(self, partial: Path) -> None:
        if self._overwrite:
            partial.replace(self.path)
        else:
            os.link(partial, self.path)  # unlike a rename, fails where the name is taken
            partial.unlink()
        self._partial = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._committed:
            with contextlib.suppress(OSError):
                self.file.close()
            if self._partial is not None:
                with contextlib.suppress(OSError):
                    self._partial.unlink()
        if isinstance(error, OSError):
            raise _explain(self.path, error) from None


def _linkat(source: str, target: Path) -> None:
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.link(source, target.name, dst_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _explain(path: Path, error: OSError) -> InputError:
    if error.errno == errno.EEXIST:
        return InputError(f"{path.name} exists already: choose another name or --overwrite")
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return InputError(f"no space left to write {path.name} or its temporary file")
    reason = os.strerror(error.errno) if error.errno else "input or output failed"
    return InputError(f"{path.name} cannot be written: {reason}")
