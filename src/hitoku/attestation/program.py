# SPDX-License-Identifier: Apache-2.0
"""The identity of a program: the digest of a manifest of all that makes it what it is.

The manifest names every file that the program can map, import or execute (path inside its image, mode,
SHA-384), the command line, the environment, how it is isolated, what is lent to it (by place and kind: the
content is input) and the digest of a policy that was built in. It is the same on every machine that has the
same files: no path, time, owner or order of the machine is in it. Its canonical form is JSON as in RFC 8785
(all text is ASCII, so that sorting by code point and by UTF-16 unit are one), hashed with SHA-384.

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
    "DIRECTORY",
    "ENDED",
    "LENDABLE",
    "MACHINE",
    "NAMESPACES",
    "PROGRAM_PCR",
    "Confinement",
    "Manifest",
    "Measured",
    "event_digest",
    "pcr_of",
    "program_digest",
]

PROGRAM_PCR: Final = 12
ENDED: Final = hashlib.sha256(b"hitoku/program-ended/1").digest()
"""What PCR 12 is extended with when a program has ended, so that nobody quotes the program's value later."""

NAMESPACES: Final = "namespaces"
DIRECTORY: Final = "directory"
MACHINE: Final = "machine"
"""Forms of isolation: the launcher's two (`hitoku.attestation.launch.confine`), and an enclave or virtual
machine that has the image and nothing else."""

LENDABLE: Final[Mapping[str, str]] = {"data": "read", "member": "write"}
"""The only places where data of the machine can be lent, both of them directories, and what a program may do
there. No loader, library or interpreter looks for anything below them."""

_VERSION: Final = 1
_ASCII: Final = re.compile(r"[\x20-\x7e]*")
_PATH: Final = re.compile(r"[\x20-\x7e]{1,512}")
_DIGEST: Final = re.compile(r"[0-9a-f]{96}")
_DESCRIPTORS: Final = 8


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
        lent: the places of `LENDABLE` where directories of the machine may be lent, in order.
        descriptors: how many it gets beside its channel and its TPM.
        isolation: `NAMESPACES`, `DIRECTORY` or `MACHINE`.
    """

    network: bool = False
    scratch: bool = False
    output: bool = False
    lent: tuple[str, ...] = ()
    descriptors: int = 0
    isolation: str = NAMESPACES

    def __post_init__(self) -> None:
        if not all(isinstance(truth, bool) for truth in (self.network, self.scratch, self.output)):
            raise InputError("a confinement is of truths")
        if self.lent != tuple(sorted(LENDABLE.keys() & set(self.lent))):
            raise InputError(f"data can be lent to a program at these places only: {', '.join(LENDABLE)}")
        if type(self.descriptors) is not int or not 0 <= self.descriptors <= _DESCRIPTORS:
            raise InputError(f"a program gets at most {_DESCRIPTORS} more descriptors")
        if self.isolation not in {NAMESPACES, DIRECTORY, MACHINE}:
            raise InputError("a program is isolated by namespaces, a directory or a machine")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "descriptors": self.descriptors,
            "isolation": self.isolation,
            "lent": {place: LENDABLE[place] for place in self.lent},
            "network": self.network,
            "output": self.output,
            "scratch": self.scratch,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Confinement:
        """What `to_dict` made; what a program may do at a place is not compared here.

        Raises:
            InputError, KeyError, TypeError, AttributeError: it is none.
        """
        return cls(**{**data, "lent": tuple(sorted(data["lent"].keys()))})


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that makes a program what it is.

    Attributes:
        files: by path inside the image, relative, with ``/``.
        argv: the command line; its first word is the file that is executed.
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
        return {
            "argv": list(self.argv),
            "confinement": self.confinement.to_dict(),
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
                Confinement.from_dict(data["confinement"]),
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
