# SPDX-License-Identifier: Apache-2.0
"""What makes evidence of this process, as its node.toml says: one for all rooms, one thread at a time."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hitoku import limits
from hitoku.errors import InputError, Refusal
from hitoku.node.settings import SETTINGS_FILE, AttesterSettings, NodeSettings

if TYPE_CHECKING:
    from hitoku.attestation.attest import Attester
    from hitoku.attestation.binding import Binding
    from hitoku.attestation.evidence import Evidence, Kind
    from hitoku.room.directory import MemberDirectory

__all__ = ["OneAtATime", "attester_of", "check_attests"]

_DESCRIPTOR: Final = "descriptor:"
_HELD: dict[tuple[str, str], OneAtATime] = {}
_LOCK: Final = threading.Lock()


def check_attests(directory: MemberDirectory) -> None:
    """Refuse, before anything is charged, where not all that would compute can attest.

    Raises:
        Refusal: ``NODE_NOT_ATTESTED``, ``WORKERS_NOT_ATTESTED``.
    """
    me = directory.name
    settings = NodeSettings.open(directory.path) if (directory.path / SETTINGS_FILE).exists() else None
    if settings is None or settings.attestation is None:
        raise Refusal(
            "NODE_NOT_ATTESTED",
            f"the room demands attestation, and the node of {me!r} makes no evidence of what runs there",
            rule="attestation.crosstab",
            owner=me,
            remedy=f"{me} names what makes evidence in [attestation] of its node.toml",
        )
    if settings.spark is not None and settings.spark.folder is not None:
        raise Refusal(
            "WORKERS_NOT_ATTESTED",
            f"the room demands attestation, and the workers of the cluster of {me!r} make no evidence of "
            "what runs on them",
            rule="attestation.crosstab",
            owner=me,
            remedy=f"{me} takes `folder` out of [spark] in its node.toml: then its node's own cores compute",
        )


def attester_of(directory: Path) -> Attester:
    """The attester of a member's node. A TPM's channel has one user, so it is opened once in a process.

    Raises:
        InputError: node.toml names none, or the platform does not offer it.
    """
    settings = NodeSettings.open(directory).attestation if (directory / SETTINGS_FILE).exists() else None
    if settings is None:
        raise InputError(
            f"{directory / SETTINGS_FILE}: the room demands attestation, and nothing says what makes "
            'evidence of this node: add [attestation] with platform = "tpm", "nitro", "tsm" or "dev"'
        )
    place = settings.device or ""
    if settings.platform == "dev":
        place = str((directory / place).resolve())
    with _LOCK:
        held = _HELD.get((settings.platform, place))
        if held is None:
            held = _HELD[settings.platform, place] = OneAtATime(_made(settings, place, directory))
        return held


class OneAtATime:
    """An attester for several threads."""

    def __init__(self, attester: Attester) -> None:
        self._attester = attester
        self._lock = threading.Lock()

    @property
    def kind(self) -> Kind:
        """See `Attester.kind`."""
        return self._attester.kind

    def identity(self) -> dict[str, bytes]:
        """See `Attester.identity`."""
        with self._lock:
            return self._attester.identity()

    def activate(self, credential: bytes) -> bytes:
        """See `Attester.activate`."""
        with self._lock:
            return self._attester.activate(credential)

    def attest(self, binding: Binding, public_key: bytes = b"") -> Evidence:
        """See `Attester.attest`."""
        with self._lock:
            return self._attester.attest(binding, public_key)


def _made(settings: AttesterSettings, place: str, directory: Path) -> Attester:
    if settings.platform == "tpm":
        from hitoku.attestation.attest.tpm import TpmAttester
        from hitoku.attestation.tpm2.device import Descriptor, open_device

        chain = b"" if settings.chain is None else _read(directory / settings.chain)
        if place.startswith(_DESCRIPTOR) and place.removeprefix(_DESCRIPTOR).isdigit():
            try:
                return TpmAttester(Descriptor(int(place.removeprefix(_DESCRIPTOR))), chain=chain)
            except OSError as error:
                raise InputError(f"no TPM at {place}: {error.strerror}") from None
        return TpmAttester(open_device(place or "/dev/tpmrm0"), chain=chain)
    if settings.platform == "nitro":
        from hitoku.attestation.attest.nitro import NitroAttester

        return NitroAttester()
    if settings.platform == "tsm":
        from hitoku.attestation.attest.tsm import TsmAttester

        return TsmAttester()
    from hitoku.attestation.attest.dev import DevAttester

    return DevAttester.open(Path(place))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limits.MAX_EVIDENCE_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
