# SPDX-License-Identifier: Apache-2.0
"""The launcher: a process that measures an image, extends PCR 12 with that, and becomes the program.

Its request is one JSON object on standard input. It copies every file of the image into memory of its own,
hashing the bytes that it copies, makes the copy read-only, extends the TPM, tells its caller the manifest,
gives up its privileges and executes the copy. The order matters: nothing of the image runs before the TPM
holds its measure, and nothing can change between being measured and being run.

What is trusted, then: the machine up to here (its kernel, this process and its interpreter; with hardware, a
measured boot puts them into PCR 0 to 11), not the files that it is told to launch. Under swtpm the machine's
owner can do as he likes with both: that shows the flow and protects nothing.

Standard library only, and TPM commands from `hitoku.attestation.tpm2`.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import sys
from dataclasses import replace
from typing import Any, Final

from hitoku.attestation.launch.confine import DIRECTORY, Bound, Place
from hitoku.attestation.launch.measuring import measured
from hitoku.attestation.program import (
    PROGRAM_PCR,
    Confinement,
    Manifest,
    event_digest,
    program_digest,
)
from hitoku.errors import InputError

__all__ = ["FIRST_DESCRIPTOR", "checked", "main"]

FIRST_DESCRIPTOR: Final = 3
_HIGH: Final = 512
_OPEN_FILES: Final = 4096
_RESERVED: Final = frozenset({"dev", "tmp", "proc", "sys"})


def main() -> None:
    """Launch what standard input asks for; on failure, report why and exit with 1."""
    request = json.loads(sys.stdin.buffer.read())
    report = int(request["report"])
    os.set_inheritable(report, False)
    os.umask(0o022)
    try:
        _launch(request, report)
    except InputError as error:
        _tell(report, {"error": str(error)})
    except Exception as error:
        _tell(report, {"error": f"the launcher failed: {type(error).__name__}: {error}"})
    sys.exit(1)


def _launch(request: dict[str, Any], report: int) -> None:
    files = [(path, outside, bool(executable)) for path, outside, executable in request["files"]]
    bound = [Bound(inside, outside, bool(writable)) for inside, outside, writable in request["bound"]]
    confinement = Confinement(**request["confinement"])
    checked(files, bound)
    place = Place(request["top"], network=confinement.network)
    place.enter()
    if place.kind == DIRECTORY:  # the manifest says what is, not what was asked for
        confinement = replace(confinement, network=True)
    manifest = Manifest(
        measured(files, place.top),
        tuple(request["argv"]),
        dict(request["environment"]),
        confinement,
        request["policy"],
    )
    place.furnish(bound, scratch=confinement.scratch)
    place.close()
    program = program_digest(manifest)
    if request["tpm"] is not None:
        _extend(int(request["tpm"]), program)
    place.descend(keep_user=bool(bound))
    _bounds()
    kept = _descriptors([int(number) for number in request["descriptors"]], report, confinement.output)
    _tell(kept, {"manifest": manifest.to_bytes().decode(), "program": program, "isolation": place.kind})
    os.execve("/" + request["program"], list(manifest.argv), dict(manifest.environment))  # noqa: S606


def checked(files: list[tuple[str, str, bool]], bound: list[Bound]) -> None:
    """Make sure that no data of the machine cover, or lie among, what is measured.

    Raises:
        InputError: they do.
    """
    paths = [path.split("/") for path, _, _ in files]
    if any(path[0] in _RESERVED for path in paths):
        raise InputError("an image has no files in /dev, /tmp, /proc and /sys")
    for lent in bound:
        parts = lent.inside.split("/")
        if any(part in {"", ".", ".."} for part in parts) or parts[0] in _RESERVED:
            raise InputError(f"{lent.inside}: data cannot be lent there")
        if any(path[: len(parts)] == parts or path == parts[: len(path)] for path in paths):
            raise InputError(f"{lent.inside}: data would cover measured files")
        if any(path[0] == parts[0] for path in paths):
            raise InputError(f"{lent.inside}: data would lie among measured files")


def _extend(descriptor: int, program: str) -> None:
    from hitoku.attestation.tpm2.commands import Tpm
    from hitoku.attestation.tpm2.device import Descriptor

    device = Descriptor(os.dup(descriptor))
    Tpm(device).pcr_extend(PROGRAM_PCR, event_digest(program))
    device.close()


def _bounds() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _descriptors(wanted: list[int], report: int, output: bool) -> int:
    """Put the descriptors at 3, 4, ...; all others end with this program. Returns where `report` is now."""
    high = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _HIGH) for number in (*wanted, report)]
    for number in wanted:
        os.set_inheritable(number, False)
    nothing = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1) if output else (0, 1, 2):
        os.dup2(nothing, number, inheritable=True)
    for place, number in enumerate(high[:-1], FIRST_DESCRIPTOR):
        os.dup2(number, place, inheritable=True)
    return high[-1]


def _tell(report: int, content: dict[str, str]) -> None:
    rest = memoryview(json.dumps(content).encode() + b"\n")
    while rest:
        rest = rest[os.write(report, rest) :]


if __name__ == "__main__":
    main()
