# SPDX-License-Identifier: Apache-2.0
"""The file of a backup: one ZIP with a signed list of all that is in it.

``manifest.json`` names every other part with its size and SHA-256, the member and its public key, the schema,
and what the backup is for; ``manifest.sig`` is the member's Ed25519 signature of it. ``tables/<name>.jsonl``
are the rows of the database, one JSON array a line; ``files/<path>`` the files. Reading takes only what the
list names, in the sizes it names, within `hitoku.limits`, and checks every hash before it is used.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hitoku import limits
from hitoku.errors import InputError, LimitError
from hitoku.ports import KeyStore
from hitoku.room.agreement import PublicKey
from hitoku.room.keys import valid_signature
from hitoku.room.naming import Name

__all__ = ["ArchiveReader", "ArchiveWriter", "Manifest", "Part", "inside", "sync"]

_DOMAIN: Final = b"hitoku/backup/1\n"
_MANIFEST: Final = "manifest.json"
_SIGNATURE: Final = "manifest.sig"
_PIECE: Final = 1024 * 1024
_PATH: Final = re.compile(r"[A-Za-z0-9._-]{1,200}(/[A-Za-z0-9._-]{1,200}){0,7}")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Part(_Model):
    """One part of the archive.

    Attributes:
        path: its name in it.
        size: bytes.
        sha256: their hash, hexadecimal.
    """

    path: Annotated[str, Field(max_length=1_024)]
    size: Annotated[int, Field(ge=0, le=limits.MAX_BACKUP_BYTES)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(_Model):
    """What the archive is.

    Attributes:
        member: whose.
        key: the member's public key.
        made: when.
        hitoku: the version that made it.
        schema: of the database.
        moved: whether the node that it is of was closed with it, so that nothing can have come after.
        outside: of room files outside the member's directory, or of odd names: part to path in node.toml.
        parts: everything else in it.
    """

    format: Literal["hitoku/backup/1"] = "hitoku/backup/1"
    member: Name
    key: PublicKey
    made: Annotated[str, Field(max_length=32)]
    hitoku: Annotated[str, Field(max_length=64)]
    schema_version: Annotated[str, Field(pattern=r"^[0-9]{4}$")]
    moved: bool
    outside: Annotated[dict[str, str], Field(max_length=64)]
    parts: Annotated[tuple[Part, ...], Field(max_length=limits.MAX_BACKUP_PARTS, strict=False)]

    def part(self, path: str) -> Part | None:
        """The part of that name."""
        return next((part for part in self.parts if part.path == path), None)


class ArchiveWriter:
    """Writes an archive whole or not at all; a context.

    Args:
        path: where; refused if there is something.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.parts: list[Part] = []

    def __enter__(self) -> Self:
        if self._path.exists():
            raise InputError(f"{self._path}: is there already; a backup is never overwritten")
        try:
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        except OSError as error:
            raise InputError(f"{self._path}: cannot be written ({error.strerror})") from None
        self._temporary = Path(name)
        self._file = os.fdopen(handle, "wb")
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._zip.close()
                self._file.flush()
                os.fsync(self._file.fileno())
                os.link(self._temporary, self._path)  # never over another file
                sync(self._path.parent)
        except OSError as error:
            raise LimitError(f"{self._path}: cannot be written ({error.strerror}); nothing is left") from None
        finally:
            self._zip.fp = None  # or it would write its directory into a file that goes
            self._close()

    def _close(self) -> None:
        with suppress(OSError):
            self._file.close()
        self._temporary.unlink(missing_ok=True)

    def add(self, path: str, pieces: Iterator[bytes]) -> None:
        """Add a part.

        Raises:
            LimitError: there is no room for it, or it would be too large to be read again.
            InputError: its name could not be read again.
        """
        if not inside(path):
            raise InputError("a file that belongs into the backup has a name that no file of hitoku has")
        if len(self.parts) >= limits.MAX_BACKUP_PARTS:
            raise LimitError(f"a backup has at most {limits.MAX_BACKUP_PARTS} parts; move old answers away")
        digest, size = hashlib.sha256(), 0
        try:
            with self._zip.open(path, "w", force_zip64=True) as to:
                for piece in pieces:
                    digest.update(piece)
                    size += len(piece)
                    if size > limits.MAX_BACKUP_BYTES:
                        raise LimitError(
                            f"a part of the backup is larger than {limits.MAX_BACKUP_BYTES} bytes"
                        )
                    to.write(piece)
        except OSError as error:
            raise LimitError(f"{self._path}: cannot be written ({error.strerror}); nothing is left") from None
        self.parts.append(Part(path=path, size=size, sha256=digest.hexdigest()))

    def sign(self, manifest: Manifest, keys: KeyStore) -> None:
        """Add the list of all parts, signed: the last to be added."""
        content = manifest.model_dump_json().encode()
        signature = base64.b64encode(keys.sign(_DOMAIN + content))
        try:
            self._zip.writestr(_MANIFEST, content)
            self._zip.writestr(_SIGNATURE, signature)
        except OSError as error:
            raise LimitError(f"{self._path}: cannot be written ({error.strerror}); nothing is left") from None


class ArchiveReader:
    """Reads an archive; a context. Everything in it is checked before it is given.

    Args:
        path: the archive.

    Raises:
        InputError: it is none, or was damaged or altered.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except FileNotFoundError:
            raise InputError(f"{path}: there is no such file") from None
        except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
            raise self._broken() from None
        try:
            self.manifest = self._read_manifest()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def _broken(self, why: str = "it is damaged, altered, or no backup of hitoku") -> InputError:
        return InputError(f"{self._path}: {why}; nothing was restored")

    def _read_manifest(self) -> Manifest:
        names = self._zip.namelist()
        if len(names) > limits.MAX_BACKUP_PARTS + 2 or len(set(names)) != len(names):
            raise self._broken()
        content = self._small(_MANIFEST, limits.MAX_BACKUP_MANIFEST_BYTES)
        signature = self._small(_SIGNATURE, 128)
        try:
            manifest = Manifest.model_validate_json(content)
        except ValidationError:
            raise self._broken("its list of parts cannot be read: was it made by a newer hitoku?") from None
        if not valid_signature(manifest.key, _DOMAIN + content, signature.decode("ascii", "replace")):
            raise self._broken("it does not carry the signature of the member that it names")
        listed = [part.path for part in manifest.parts]
        if sorted([*listed, _MANIFEST, _SIGNATURE]) != sorted(names) or len(set(listed)) != len(listed):
            raise self._broken("it does not hold what its list of parts names")
        if sum(part.size for part in manifest.parts) > limits.MAX_BACKUP_BYTES:
            raise self._broken(f"it is larger than {limits.MAX_BACKUP_BYTES} bytes")
        for part in manifest.parts:
            info = self._zip.getinfo(part.path)
            plain = (info.external_attr >> 28) in {0, 8}  # no symbolic link, no device
            if info.file_size != part.size or info.is_dir() or not plain or not inside(part.path):
                raise self._broken("a part of it is not what its list of parts says")
        return manifest

    def _small(self, name: str, most: int) -> bytes:
        try:
            with self._zip.open(name) as part:
                content = part.read(most + 1)
        except (
            KeyError,
            OSError,
            zipfile.BadZipFile,
            RuntimeError,
            NotImplementedError,
            EOFError,
            ValueError,
        ):
            raise self._broken() from None
        except Exception as error:  # zlib has an error of its own, which it does not export as an OSError
            raise self._broken() from error
        if len(content) > most:
            raise self._broken()
        return content

    def check(self) -> None:
        """Read everything once, and compare it with its hash.

        Raises:
            InputError: a part was damaged.
        """
        for part in self.manifest.parts:
            for _ in self.pieces(part):
                pass

    def pieces(self, part: Part) -> Iterator[bytes]:
        """A part, piece by piece; an error where it turns out at its end not to be what was listed.

        Raises:
            InputError: it is not.
        """
        digest, size = hashlib.sha256(), 0
        with self._opened(part.path) as source:
            while True:
                try:
                    piece = source.read(_PIECE)
                except Exception:  # as in _small
                    raise self._broken(f"{part.path} in it is damaged") from None
                if not piece:
                    break
                size += len(piece)
                if size > part.size:
                    raise self._broken(f"{part.path} in it is damaged")
                digest.update(piece)
                yield piece
        if size != part.size or digest.hexdigest() != part.sha256:
            raise self._broken(f"{part.path} in it is damaged")

    def _opened(self, path: str) -> IO[bytes]:
        try:
            return self._zip.open(path)
        except Exception:
            raise self._broken(f"{path} in it is damaged") from None

    def content(self, part: Part) -> bytes:
        """A small part, whole and checked.

        Raises:
            InputError: it is damaged, or too large to be a file of a member's directory.
        """
        if part.size > limits.MAX_BACKUP_FILE_BYTES:
            raise self._broken(f"{part.path} in it is larger than {limits.MAX_BACKUP_FILE_BYTES} bytes")
        return b"".join(self.pieces(part))

    def lines(self, part: Part) -> Iterator[list[Any]]:
        """The rows of a table, each a JSON array.

        Raises:
            InputError: a line is none.
        """
        rest = b""
        for piece in self.pieces(part):
            *whole, rest = (rest + piece).split(b"\n")
            if len(rest) > limits.MAX_BACKUP_ROW_BYTES:
                raise self._broken(f"a row of {part.path} in it is too large")
            for line in whole:
                yield self._row(line, part)
        if rest:
            yield self._row(rest, part)

    def _row(self, line: bytes, part: Part) -> list[Any]:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, list):
            raise self._broken(f"{part.path} in it is damaged")
        return row


def sync(path: Path) -> None:
    """Make a file or folder durable.

    Raises:
        OSError: it cannot be.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def inside(path: str) -> bool:
    """Whether a part's name is a plain path inside: nothing that leads out, is absolute or hidden oddly."""
    return bool(_PATH.fullmatch(path)) and not {"..", "."} & set(PurePosixPath(path).parts)
