# SPDX-License-Identifier: Apache-2.0
"""The identity of a program: the digest of a manifest of all that makes it what it is.

The manifest names every file that the program can map, import or execute (path inside its image, mode,
SHA-384), the command line, the environment, what the launcher takes away from it and the digest of a policy
that was built in. It is the same on every machine that has the same files: no path, time, owner or order of
the machine is in it. Its canonical form is JSON as in RFC 8785 (all text is ASCII, so that sorting by code
point and by UTF-16 unit are one), hashed with SHA-384.

Of a TPM, the launcher extends the digest into PCR 12 before the program runs. No command resets PCR 12
while a machine is up (TCG PC Client Platform TPM Profile, PCR attributes: 0 to 15 can be reset from no
locality, 16 and 23 from all), and an extend is a hash of the old value, so that nobody reaches the value
of one event by two.

Standard library only: the launcher imports this.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hitoku.errors import InputError

__all__ = [
    "PROGRAM_PCR",
    "Confinement",
    "Manifest",
    "Measured",
    "event_digest",
    "pcr_of",
    "program_digest",
]

PROGRAM_PCR: Final = 12
_VERSION: Final = 1
_ASCII: Final = re.compile(r"[\x20-\x7e]*")
_PATH: Final = re.compile(r"[\x20-\x7e]{1,512}")
_DIGEST: Final = re.compile(r"[0-9a-f]{96}")


@dataclass(frozen=True, slots=True)
class Measured:
    """One file of an image.

    Attributes:
        sha384: of its content, lower-case hexadecimal.
        executable: mode 0555, else 0444; nobody may write it.
    """

    sha384: str
    executable: bool = False

    def __post_init__(self) -> None:
        if not _DIGEST.fullmatch(self.sha384):
            raise InputError("a file's digest is 96 hexadecimal digits")


@dataclass(frozen=True, slots=True)
class Confinement:
    """What the program can reach beside its image and its descriptors.

    Attributes:
        network: it shares the machine's network; else it has none.
        scratch: an empty /tmp in memory, where nothing can be executed.
        output: its standard error goes where the launcher's caller says; else nowhere.
    """

    network: bool = False
    scratch: bool = False
    output: bool = False

    def __post_init__(self) -> None:
        if not all(isinstance(truth, bool) for truth in (self.network, self.scratch, self.output)):
            raise InputError("a confinement is of truths")


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that makes a program what it is.

    Attributes:
        files: by path inside the image, relative, with ``/``.
        argv: the command line.
        environment: all of it.
        confinement: what the launcher leaves to it.
        policy: SHA-384 of a policy built into it, or "" for none.
    """

    files: Mapping[str, Measured]
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    confinement: Confinement = field(default_factory=Confinement)
    policy: str = ""

    def __post_init__(self) -> None:
        for path in self.files:
            if not _PATH.fullmatch(path) or any(part in {"", ".", ".."} for part in path.split("/")):
                raise InputError("a path of an image is relative, of printable ASCII, without `.` and `..`")
        words = (*self.argv, *self.environment, *self.environment.values())
        if not all(map(_ASCII.fullmatch, words)):
            raise InputError("a program's command line and environment are printable ASCII")
        if self.policy != "" and not _DIGEST.fullmatch(self.policy):
            raise InputError("a policy's digest is 96 hexadecimal digits")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        confinement = self.confinement
        return {
            "argv": list(self.argv),
            "confinement": {
                "network": confinement.network,
                "output": confinement.output,
                "scratch": confinement.scratch,
            },
            "environment": dict(self.environment),
            "files": {
                path: {"mode": "0555" if file.executable else "0444", "sha384": file.sha384}
                for path, file in self.files.items()
            },
            "policy": self.policy,
            "version": _VERSION,
        }

    def to_bytes(self) -> bytes:
        """The canonical form."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """Read a canonical form; another spelling of the same is refused.

        Raises:
            InputError: it is none.
        """
        try:
            data = json.loads(content)
            files = {
                path: Measured(file["sha384"], {"0555": True, "0444": False}[file["mode"]])
                for path, file in data["files"].items()
            }
            made = cls(
                files,
                tuple(data["argv"]),
                data["environment"],
                Confinement(**data["confinement"]),
                data["policy"],
            )
            same = made.to_bytes() == content
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise InputError("this is no manifest of a program") from None
        if not same:
            raise InputError("the manifest is not in its canonical form")
        return made


def program_digest(manifest: Manifest) -> str:
    """The program's identity on every platform: SHA-384 of the manifest, lower-case hexadecimal."""
    return hashlib.sha384(manifest.to_bytes()).hexdigest()


def event_digest(program: str) -> bytes:
    """What the launcher extends into PCR 12 of the SHA-256 bank: SHA-256 of the program digest's 48 bytes.

    Raises:
        InputError: `program` is no program digest.
    """
    if not _DIGEST.fullmatch(program):
        raise InputError("a program digest is 96 hexadecimal digits")
    return hashlib.sha256(bytes.fromhex(program)).digest()


def pcr_of(program: str) -> str:
    """PCR 12 of the SHA-256 bank after this program alone was launched, lower-case hexadecimal.

    The reference value of a TPM: SHA-256 of 32 zero bytes (PCR 12 when a machine starts) and the event.
    """
    return hashlib.sha256(bytes(32) + event_digest(program)).hexdigest()
