# SPDX-License-Identifier: Apache-2.0
"""What goes over the channel between host and worker, as models: each side reads the other by these."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError

from hitoku import limits
from hitoku.errors import PeerError
from hitoku.room.consent import Consent, Hash, Moment, RunId
from hitoku.room.naming import Name
from hitoku.room.sealing import SealingKey
from hitoku.transport.messages import Message, Receivers, Sql, UsersNoise

__all__ = ["COMPUTE", "Call", "Done", "Failure", "Order", "Reply", "Table", "read_frame", "written"]

M = TypeVar("M", bound=BaseModel)
Code = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{1,63}$")]
COMPUTE: Final = "COMPUTE"
"""The code of whatever fails once all tables are open: which it was could tell of their rows."""


class Order(Message):
    """Host to worker: compute this. Nothing in it is believed: all of it is signed by others, or checked.

    Attributes:
        room: the room file: the agreement in force, all its versions and signatures.
        sql: the question as it was asked.
        run: the run's id.
        host: the member at whom this runs.
        asker: who asked.
        receivers: who receives the answer.
        users_noise: as the asker wanted it.
        consents: the owners'.
        sealing: the receivers' one-time keys.
        began: when the request came, for the release interval.
    """

    kind: Literal["hitoku/enclave-order/1"] = "hitoku/enclave-order/1"
    room: dict[str, Any]
    sql: Sql
    run: RunId
    host: Name
    asker: Name
    receivers: Receivers
    users_noise: UsersNoise | None = None
    consents: Annotated[list[Consent], Field(max_length=limits.MAX_MEMBERS)]
    sealing: Annotated[list[SealingKey], Field(max_length=limits.MAX_MEMBERS)]
    began: Moment


class Call(Message):
    """Worker to host: carry this to an owner's broker."""

    kind: Literal["hitoku/enclave-call/1"] = "hitoku/enclave-call/1"
    owner: Name
    message: dict[str, Any]


class Reply(Message):
    """Host to worker: what the broker answered; None where it did not, or refused."""

    kind: Literal["hitoku/enclave-reply/1"] = "hitoku/enclave-reply/1"
    message: dict[str, Any] | None


class Table(Message):
    """Host to worker, before a table's chunks: what its owner says of it."""

    kind: Literal["hitoku/enclave-table/1"] = "hitoku/enclave-table/1"
    table: Name
    chunks: Annotated[int, Field(ge=1, le=limits.MAX_ENCLAVE_CHUNKS)]
    head: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$", max_length=limits.MAX_ENCLAVE_HEAD_CHARS)]


class Done(Message):
    """Worker to host, the last: what may be known to anybody.

    Attributes:
        answer: the answer's digest, for the ledgers; it is salted.
        statement: of deletion, signed.
    """

    kind: Literal["hitoku/enclave-done/1"] = "hitoku/enclave-done/1"
    answer: Hash
    statement: dict[str, Any]


class Failure(Message):
    """Worker to host, the last: a code, no words.

    Attributes:
        code: why.
        table: whose table it is about, where that is the reason.
    """

    kind: Literal["hitoku/enclave-failure/1"] = "hitoku/enclave-failure/1"
    code: Code
    table: Name | None = None


def written(message: BaseModel) -> bytes:
    """A message as bytes."""
    return message.model_dump_json(exclude_none=False).encode()


def read_frame(model: type[M], content: bytes | bytearray, sender: str) -> M:
    """A message out of its bytes.

    Raises:
        PeerError: it is something else; never quotes it.
    """
    try:
        return model.model_validate_json(content)
    except (ValidationError, RecursionError):
        raise PeerError(f"{sender} sent something that is no {model.__name__}") from None
