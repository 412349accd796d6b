# SPDX-License-Identifier: Apache-2.0
"""A member's key broker at its node: the messages it answers, and what crosses when it refuses.

Why a key was refused stays with the owner, in its ledger: the evidence and the reason may tell a host how to
try again. The host hears the code.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hitoku.attestation.codes import Refused
from hitoku.errors import PeerError, Refusal, SecretError
from hitoku.node.settings import SETTINGS_FILE, KeySettings, NodeSettings
from hitoku.ports import Clock
from hitoku.room.agreement import Room
from hitoku.room.private import read_private, write_private
from hitoku.transport import messages
from hitoku.transport.attested import (
    CHALLENGE,
    DELETE,
    RELEASE,
    REVOKE,
    DeleteKeys,
    KeysDeleted,
    KeysRevoked,
    RevokeKeys,
)

if TYPE_CHECKING:
    from hitoku.attestation.broker import Broker
    from hitoku.attestation.epoch import Counter
    from hitoku.attestation.keystore import KeyWrap
    from hitoku.room.directory import MemberDirectory
    from hitoku.room.records import Records

__all__ = ["FOLDER", "BrokerDesk", "open_broker"]

FOLDER: Final = "attestation"
"""Where a member's directory keeps what belongs to attestation."""
COUNTER_SECRET: Final = "counter.secret"  # noqa: S105 (its name)


class BrokerDesk:
    """Where the messages to an owner's broker arrive.

    Args:
        directory: the owner's.
        room: in force, as the owner verified it.
        records: the owner's.
        clock: the time.
    """

    def __init__(
        self, directory: MemberDirectory, room: Room, records: Callable[[], Records], clock: Clock
    ) -> None:
        self._directory, self._room, self._records, self._clock = directory, room, records, clock

    @cached_property
    def broker(self) -> Broker:
        """The owner's broker."""
        return open_broker(self._directory, self._room, self._records(), self._clock)

    def answer(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one of `hitoku.transport.attested.BROKER_KINDS`.

        Raises:
            Refusal: with the code of `hitoku.attestation.codes.Code`, and no reason.
            PeerError: the message is malformed, or of another kind.
        """
        kind = message["kind"]
        with refused_outside(self._directory.name):
            if kind == CHALLENGE:
                return self.broker.challenge(sender, message)
            if kind == RELEASE:
                return self.broker.release(sender, message)
            if kind == REVOKE:
                return self._revoke(sender, message)
            if kind == DELETE:
                return self._delete(sender, message)
        raise PeerError(f"{self._directory.name!r} does not answer such messages")

    def _revoke(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        request = messages.read(RevokeKeys, message, sender)
        self.broker.revoke(request.run, request.stage, sender)
        return KeysRevoked(run=request.run).model_dump(mode="json")

    def _delete(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        from hitoku.attestation.deletion import read_statement

        request = messages.read(DeleteKeys, message, sender)
        said = None if request.statement is None else read_statement(request.statement)
        tombstone, proof = self.broker.tombstone(request.run, said, sender)
        return KeysDeleted(
            run=request.run, tombstone=tombstone.model_dump(mode="json"), proof=proof.to_dict()
        ).model_dump(mode="json")


@contextmanager
def refused_outside(owner: str) -> Iterator[None]:
    """Turn what the broker refuses into a Refusal that says its code, and nothing else."""
    try:
        yield
    except Refused as refused:
        raise Refusal(
            str(refused.code),
            f"the key broker of {owner!r} refused",
            owner=owner,
            remedy=f"{owner} finds why in its ledger: `hitoku ledger show --kind key-refusal`",
        ) from None


def open_broker(directory: MemberDirectory, room: Room, records: Records, clock: Clock) -> Broker:
    """A member's broker in one room, with its keys, its counter and its appraisal, as node.toml says.

    Raises:
        InputError: node.toml cannot be used.
        SecretError: the TPM that is to count cannot be used.
    """
    from hitoku.attestation import credential
    from hitoku.attestation.appraiser import Appraiser
    from hitoku.attestation.broker import Broker

    there = (directory.path / SETTINGS_FILE).exists()
    settings = (NodeSettings.open(directory.path).keys if there else None) or KeySettings()
    keys = directory.keys()
    appraiser = Appraiser(directory, lambda: room, records, keys, clock)
    return Broker(
        agreement=room.agreement,
        records=records,
        keys=keys,
        wrap=_wrap(directory.path / FOLDER, settings),
        counter=_counter(directory.path / FOLDER, settings),
        clock=clock,
        judge=appraiser.appraise,
        credential=credential.challenge,
    )


def _wrap(folder: Path, settings: KeySettings) -> KeyWrap:
    from hitoku.attestation.keystore import LocalKeys

    if settings.kms is None or settings.region is None:
        return LocalKeys(folder)
    from hitoku.attestation.kms import AwsKms

    return AwsKms(settings.kms, settings.region, endpoint=settings.endpoint)


def _counter(folder: Path, settings: KeySettings) -> Counter:
    from hitoku.attestation.epoch import COUNTER_FILE, FileCounter

    if settings.counter is None:
        return FileCounter(folder / COUNTER_FILE)
    from hitoku.attestation.nvcounter import TpmCounter
    from hitoku.attestation.tpm2.device import open_device

    path, place, what = folder / COUNTER_SECRET, settings.counter, "the password of the TPM's counter"
    new = not path.exists()
    if new:
        folder.mkdir(mode=0o700, exist_ok=True)
        write_private(path, os.urandom(32), what)
    counter = TpmCounter(lambda: open_device(place), read_private(path, what))
    if new:
        try:
            counter.define()
        except SecretError:
            path.unlink()
            raise
    return counter
