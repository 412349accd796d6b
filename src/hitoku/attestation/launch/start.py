# SPDX-License-Identifier: Apache-2.0
"""Launching an image: the caller's side. The launcher itself is a process of its own (`launcher`)."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from hitoku.attestation.launch.confine import NAMESPACES
from hitoku.attestation.launch.ending import SPENT
from hitoku.attestation.launch.image import ENVIRONMENT, Image
from hitoku.attestation.program import Manifest, program_digest
from hitoku.errors import InputError

__all__ = ["Launched", "launch"]

_STOP_SECONDS: Final = 10
_SPEND_SECONDS: Final = 60
_MOST_REPORT: Final = 64 * 1024 * 1024
_log = logging.getLogger(__name__)
_LAUNCHER: Final = """\
import sys
sys.path.append(sys.argv[1])
from hitoku.attestation.launch.launcher import main
main()
"""


@dataclass(slots=True)
class Launched:
    """A program that runs. A context manager; leaving it ends the program.

    Attributes:
        process: it.
        channel: a stream socket; the program has the other end (`hitoku.attestation.launch.inside.channel`).
        manifest: what the launcher measured.
        program: the manifest's digest.
        isolation: ``namespaces`` or ``directory`` (weaker; see `hitoku.attestation.launch.confine`).
        tpm: whether it has a TPM (`hitoku.attestation.launch.inside.tpm`), whose PCR 12 holds its measure.
        spent: whether PCR 12 was extended once more after the program had ended; known when it is closed.
    """

    process: subprocess.Popen[bytes]
    channel: socket.socket
    manifest: Manifest
    program: str
    isolation: str
    tpm: bool
    _directory: Path | None = field(default=None)
    _ended: int = field(default=-1)
    spent: bool = field(default=False)

    def close(self) -> None:
        """End the program, if it has not ended, let its TPM be told so, and remove what was made for it."""
        self.channel.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self._ended >= 0:
            self.spent = bool(select.select([self._ended], [], [], _SPEND_SECONDS)[0]) and (
                os.read(self._ended, 1) == SPENT
            )
            os.close(self._ended)
            self._ended = -1
            if self.tpm and not self.spent:
                _log.error("PCR 12 still has the value of a program that has ended: reset the machine")
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def __enter__(self) -> Launched:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def launch(
    image: Image,
    *,
    tpm: int | None = None,
    descriptors: Sequence[int] = (),
    lent: Mapping[str, Path | None] | None = None,
    output: int | None = None,
) -> Launched:
    """Measure an image and run it.

    Args:
        image: what to run.
        tpm: a descriptor of a TPM that nobody else can reach (`hitoku.attestation.swtpm.SwTpm(private=True)`,
            or ``/dev/tpmrm0`` on a machine where nothing else runs: while the program runs, whoever reaches
            its TPM can attest for it). PCR 12 is extended before the program runs and when it has ended. It
            stays the caller's to close. None: the program has no TPM, and no evidence but what the caller
            vouches for.
        descriptors: more for the program, from 5 on, as many as the image's confinement says; they stay the
            caller's to close.
        lent: directories of the machine that it sees, by their place; one of None is empty. The places must
            be those of the image's confinement.
        output: where its standard error goes, if the image's confinement leaves it one.

    Raises:
        InputError: a file cannot be read, something is not installed, or the system does not allow it.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = Path(tempfile.mkdtemp(prefix="hitoku-image-", dir=_folder()))
    try:
        with theirs:
            process, report, ended = _start(
                image, theirs.fileno(), tpm, descriptors, lent or {}, output, directory
            )
        try:
            said = _said(report)
            manifest = Manifest.from_bytes(said["manifest"].encode())
            if program_digest(manifest) != said["program"]:
                raise InputError("the launcher measured something else than it says")
            if said["isolation"] == NAMESPACES:  # the copy is in memory of the program's own; this is empty
                directory.rmdir()
        except BaseException:
            process.kill()
            process.wait()
            os.close(ended)
            raise
    except BaseException:
        ours.close()
        shutil.rmtree(directory, ignore_errors=True)
        raise
    isolation, has_tpm = said["isolation"], tpm is not None
    return Launched(process, ours, manifest, said["program"], isolation, has_tpm, directory, ended)


def _start(
    image: Image,
    channel: int,
    tpm: int | None,
    descriptors: Sequence[int],
    lent: Mapping[str, Path | None],
    output: int | None,
    directory: Path,
) -> tuple[subprocess.Popen[bytes], int, int]:
    read, write = os.pipe()
    ended, ending = os.pipe()
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        inherited = [channel, nothing if tpm is None else tpm, *descriptors]
        request = {
            "files": image.listed(),
            "argv": image.command(),
            "environment": dict(ENVIRONMENT),
            "confinement": image.confinement.to_dict(),
            "policy": image.policy,
            "lent": {place: path if path is None else os.path.realpath(path) for place, path in lent.items()},
            "top": str(directory),
            "tpm": tpm,
            "descriptors": inherited,
            "report": write,
            "ended": ending,
        }
        root = Path(__file__).parents[3]
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-c", _LAUNCHER, str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if output is None else output,
            pass_fds=sorted({*inherited, write, ending}),
            env={"LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
    except BaseException:
        os.close(read)
        os.close(ended)
        raise
    finally:
        os.close(write)
        os.close(ending)
        os.close(nothing)
    pipe = process.stdin
    if pipe is not None:
        with contextlib.suppress(BrokenPipeError), pipe:
            pipe.write(json.dumps(request).encode())
    return process, read, ended


def _said(report: int) -> dict[str, Any]:
    """What the launcher reports; its end of the pipe closes when the program runs."""
    with open(report, "rb") as pipe:
        lines = pipe.read(_MOST_REPORT).splitlines()
    said: dict[str, Any] = json.loads(lines[-1]) if lines else {"error": "the launcher ended without a word"}
    if "error" in said:
        raise InputError(f"the program cannot be launched: {said['error']}")
    return said


def _folder() -> str | None:
    """Where the copy's directory is made. With namespaces it stays empty here: memory is mounted over it."""
    memory = Path("/dev/shm")  # noqa: S108
    try:
        usable = os.access(memory, os.W_OK) and not os.statvfs(memory).f_flag & os.ST_NOEXEC
    except OSError:
        usable = False
    return str(memory) if usable else None
