# SPDX-License-Identifier: Apache-2.0
"""The messages of runs in an enclave, between host, owners and receivers: no value is in clear in them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from hitoku import limits
from hitoku.room.consent import Hash, RunId
from hitoku.room.naming import Name
from hitoku.room.sealing import SealingKey
from hitoku.transport.messages import Message, Receivers, Sealed, Sql, Text, UsersNoise

__all__ = [
    "DeliverSealed",
    "OfferTables",
    "OfferedTable",
    "SealingKeyGiven",
    "SealingKeyRequest",
    "TablesOffered",
]


class SealingKeyRequest(Message):
    """Host to a receiver: for which key is this run's answer to be sealed for you?"""

    kind: Literal["hitoku/sealing-key-request/1"] = "hitoku/sealing-key-request/1"
    room: Hash
    run: RunId


class SealingKeyGiven(Message):
    """Receiver to host: for this one, made for this run."""

    kind: Literal["hitoku/sealing-key-given/1"] = "hitoku/sealing-key-given/1"
    key: SealingKey


class OfferTables(Message):
    """Host to an owner: seal your tables for this run, to which you have consented. May be said again."""

    kind: Literal["hitoku/offer-tables/1"] = "hitoku/offer-tables/1"
    sql: Sql
    room: Hash
    run: RunId
    asker: Name
    receivers: Receivers
    protection: Text
    users_noise: UsersNoise | None = None


class OfferedTable(Message):
    """A table that its owner sealed.

    Attributes:
        table: its name.
        parcel: the name of its parcel.
        chunks: how many there are.
        head: the sealed head, base64.
    """

    table: Name
    parcel: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    chunks: Annotated[int, Field(ge=1, le=limits.MAX_ENCLAVE_CHUNKS)]
    head: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$", max_length=limits.MAX_ENCLAVE_HEAD_CHARS)]


class TablesOffered(Message):
    """Owner to host: they are sealed; or, where `tables` is None, they are being sealed."""

    kind: Literal["hitoku/tables-offered/1"] = "hitoku/tables-offered/1"
    run: RunId
    tables: Annotated[list[OfferedTable], Field(max_length=limits.MAX_TABLES_PER_QUESTION)] | None


class DeliverSealed(Message):
    """Host to receiver: an answer that only it can open.

    Attributes:
        run: the run.
        sealed: the answer, base64.
        certificate: that the keys are deleted: the worker's statement and the brokers' tombstones.
    """

    kind: Literal["hitoku/deliver-sealed/1"] = "hitoku/deliver-sealed/1"
    run: RunId
    sealed: Sealed
    certificate: dict[str, Any] | None = None
