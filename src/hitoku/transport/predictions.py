# SPDX-License-Identifier: Apache-2.0
"""The messages by which a member has encrypted rows scored by another member's model.

Bulk goes by parcels: the model's owner takes the asker's evaluation keys and encrypted rows from the asker's
node, the asker takes the encrypted scores. Sizes and hashes that are declared here are checked against it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hitoku import limits
from hitoku.room.consent import Hash, RunId
from hitoku.room.naming import Name
from hitoku.transport.messages import Message, Text

__all__ = [
    "KINDS",
    "ModelGiven",
    "ModelRequest",
    "Predict",
    "PredictWait",
    "Predicting",
    "PredictionDone",
    "PredictionEnded",
    "PredictionOver",
]

KINDS = frozenset(
    {"hitoku/model-request/1", "hitoku/predict/1", "hitoku/predict-wait/1", "hitoku/prediction-over/1"}
)
"""What a model's owner answers; it calls nobody for it."""

Size = Annotated[int, Field(ge=1, le=limits.MAX_PREDICTION_BYTES)]


class ModelRequest(Message):
    """Asker to a model's owner: what must I know to encrypt rows for it?"""

    kind: Literal["hitoku/model-request/1"] = "hitoku/model-request/1"
    room: Hash
    model: Name


class ModelGiven(Message):
    """Owner to asker: the client specification, whose hash the room names."""

    kind: Literal["hitoku/model-given/1"] = "hitoku/model-given/1"
    model: Name
    client: Annotated[str, Field(max_length=limits.MAX_CLIENT_SPEC_CHARS)]


class Predict(Message):
    """Asker to owner: score these rows.

    Attributes:
        room: hash of the agreement.
        model: the model's name.
        run: made up by the asker, once.
        rows: how many rows are paid for: as many as the request's ciphertexts have room for.
        keys: hash of the evaluation keys, the parcel ``keys`` of this run where the owner lacks them.
        keys_size: their bytes.
        request: hash of the encrypted rows, the parcel ``request``.
        request_size: their bytes.
    """

    kind: Literal["hitoku/predict/1"] = "hitoku/predict/1"
    room: Hash
    model: Name
    run: RunId
    rows: Annotated[int, Field(ge=1, le=limits.MAX_PREDICTION_ROWS)]
    keys: Hash
    keys_size: Size
    request: Hash
    request_size: Size


class Predicting(Message):
    """Owner to asker: it is charged, and under way or waiting for its turn.

    Attributes:
        run: the run.
        phase: what is done now.
    """

    kind: Literal["hitoku/predicting/1"] = "hitoku/predicting/1"
    run: RunId
    phase: Text = ""


class PredictWait(Message):
    """Asker to owner: how far is it?"""

    kind: Literal["hitoku/predict-wait/1"] = "hitoku/predict-wait/1"
    run: RunId


class PredictionDone(Message):
    """Owner to asker: the encrypted scores are the parcel ``result`` of this run."""

    kind: Literal["hitoku/prediction-done/1"] = "hitoku/prediction-done/1"
    run: RunId
    result: Hash
    result_size: Size


class PredictionOver(Message):
    """Asker to owner: nothing of this run is needed any more."""

    kind: Literal["hitoku/prediction-over/1"] = "hitoku/prediction-over/1"
    run: RunId


class PredictionEnded(Message):
    """Owner to asker: it is gone."""

    kind: Literal["hitoku/prediction-ended/1"] = "hitoku/prediction-ended/1"
    run: RunId
