# SPDX-License-Identifier: Apache-2.0
"""The launcher: a process that measures an image, extends PCR 12 with that, and becomes the program.

Its request is one JSON object on standard input. It copies every file of the image into memory of its own,
hashing the bytes that it copies, makes the copy read-only, extends the TPM, tells its caller the manifest,
gives up its privileges and executes the copy. The order matters: nothing of the image runs before the TPM
holds its measure, and nothing can change between being measured and being run. The caller chooses nothing
about the program that the manifest does not say: what is executed is its first word, and what is lent lies at
fixed places that it names.

A second process stays beside the program, and extends PCR 12 once more when the program has ended (`ending`).

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
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from hitoku.attestation.launch import ending
from hitoku.attestation.launch.confine import DIRECTORY, Bound, Place
from hitoku.attestation.launch.measuring import measured
from hitoku.attestation.program import (
    LENDABLE,
    PROGRAM_PCR,
    Confinement,
    Manifest,
    event_digest,
    program_digest,
)
from hitoku.errors import InputError

__all__ = ["FIRST_DESCRIPTOR", "checked", "main"]

FIRST_DESCRIPTOR: Final = 3
_OWN_DESCRIPTORS: Final = 2
_HIGH: Final = 512
_OPEN_FILES: Final = 4096
_RESERVED: Final = frozenset({"dev", "tmp", "proc", "sys", *LENDABLE})


def main() -> None:
    """Launch what standard input asks for; on failure, report why and exit with 1."""
    request = json.loads(sys.stdin.buffer.read())
    report = int(request["report"])
    for number in (report, int(request["ended"])):
        os.set_inheritable(number, False)
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
    confinement = Confinement.from_dict(request["confinement"])
    descriptors = [int(number) for number in request["descriptors"]]
    bound = checked(files, request["argv"], confinement, request["lent"], len(descriptors))
    place = Place(request["top"], network=confinement.network)
    place.enter()
    # The manifest says what is, not what was asked for.
    confinement = replace(
        confinement, isolation=place.kind, network=confinement.network or place.kind == DIRECTORY
    )
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
        ending.watch(int(request["tpm"]), int(request["ended"]))  # first: it is there whatever fails after
        _extend(int(request["tpm"]), program)
    place.descend(keep_user=bool(bound))
    _bounds()
    kept = _descriptors(descriptors, report, confinement.output)
    _tell(kept, {"manifest": manifest.to_bytes().decode(), "program": program, "isolation": place.kind})
    os.execve(manifest.argv[0], list(manifest.argv), dict(manifest.environment))  # noqa: S606


def checked(
    files: list[tuple[str, str, bool]],
    argv: Sequence[str],
    confinement: Confinement,
    lent: Mapping[str, str | None],
    descriptors: int,
) -> list[Bound]:
    """Make sure that the manifest says all that the caller chooses about the program.

    What is executed is an executable file of the image, by its full path. Data are lent where the confinement
    says, and no measured file lies there. Returns what to lend.

    Args:
        files: as `measured` takes them.
        argv: the command line.
        confinement: what the manifest will say.
        lent: by place: the directory outside, or None for an empty one.
        descriptors: how many the program gets, channel and TPM among them.

    Raises:
        InputError: it does not.
    """
    if any(path.split("/")[0] in _RESERVED for path, _, _ in files):
        raise InputError(f"an image has no files in {', '.join(f'/{name}' for name in sorted(_RESERVED))}")
    if not argv or argv[0] not in {f"/{path}" for path, _, executable in files if executable}:
        raise InputError("the command line does not begin with an executable file of the image")
    if lent.keys() != set(confinement.lent):
        raise InputError("data are lent to a program at the places that its manifest names, and at no others")
    if descriptors != confinement.descriptors + _OWN_DESCRIPTORS:
        raise InputError("a program gets as many descriptors as its manifest says")
    return [Bound(place, outside, LENDABLE[place] == "write") for place, outside in sorted(lent.items())]


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
