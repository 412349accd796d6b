# SPDX-License-Identifier: Apache-2.0
"""A model's owner: serves its models to the members that the room names, on rows that it cannot read.

A request is charged, durably, before a byte of it is fetched, and what can be told from its message to be no
request of the model is refused before that. Of each asker one request at a time is fetched and computed, in
a thread of its own; all askers' are computed one at a time, since each uses all cores. The turn to compute is
taken with everything at hand: an asker that sends slowly keeps nobody waiting but itself. What a request was
made of and what came out are ciphertexts under the asker's key; they are removed when the asker has its
scores, gives up, or asks so often that older ones have to go.

Who learns what: the owner, sizes, times, and how many rows at most. The asker, the client specification and
its scores, each with noise of the width that the room names.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from hitoku.errors import HitokuError, InputError, PeerError, Refusal
from hitoku.node.alone import first
from hitoku.node.bulk import KEYS, REQUEST, RESULT, BulkShelf, fetched, named
from hitoku.node.evaluation_keys import KeyFiles
from hitoku.room.canonical import agreement_hash
from hitoku.room.predictions import Predictions, PredictionState
from hitoku.transport import messages
from hitoku.transport.predictions import (
    ModelGiven,
    ModelRequest,
    Predict,
    Predicting,
    PredictionDone,
    PredictionEnded,
    PredictionOver,
    PredictWait,
)

if TYPE_CHECKING:
    from hitoku.ports import Clock, Parcels
    from hitoku.room.agreement import Room
    from hitoku.room.directory import MemberDirectory
    from hitoku.room.models import ServedModel
    from hitoku.room.records import Records

__all__ = ["BUNDLE", "CLIENT", "ModelDesk", "Scorer", "model_folder"]

BUNDLE: Final = "server.bundle"
CLIENT: Final = "client.json"
_WAITING: Final = 4
"""So many requests of one asker may be under way or wait for their turn, those included that it gave up."""
_FETCH_SECONDS: Final = 60.0
_REMEMBERED: Final = 16
"""Runs of one asker that came to an end and that it has not closed; the oldest go, with their scores."""


class Scorer(Protocol):
    """Computes on encrypted rows; see `hitoku.inference.Server`."""

    @property
    def rows(self) -> int:
        """How many rows a request's ciphertexts have room for."""
        ...

    @property
    def most_request_bytes(self) -> int:
        """No request is larger."""
        ...

    @property
    def most_key_bytes(self) -> int:
        """No asker's evaluation keys are larger."""
        ...

    def run(self, request: bytes, keys: bytes) -> bytes:
        """The encrypted scores."""
        ...

    @property
    def noise_width(self) -> float:
        """The width of the noise on each score, in the score's own units."""
        ...


def model_folder(directory: Path, model: str) -> Path:
    """Where a member keeps a model that its node serves."""
    return directory / "models" / model


@dataclass(slots=True)
class _Going:
    """A request that this process works on."""

    asker: str
    phase: str = "waits for its turn"
    done: PredictionDone | None = None
    error: HitokuError | None = None
    over: bool = False


class ModelDesk:
    """Where messages about this member's models arrive. For many threads.

    Args:
        directory: the owner's.
        room: the room, verified.
        records: what the member remembers of it.
        clock: the time.
        parcels: the way to the askers' parcels.
        shelf: where encrypted scores are put for them.
        scorer: makes what computes with a model out of its folder.
    """

    def __init__(
        self,
        directory: MemberDirectory,
        room: Room,
        records: Callable[[], Records],
        clock: Clock,
        parcels: Parcels,
        shelf: BulkShelf,
        scorer: Callable[[Path], Scorer],
    ) -> None:
        self._directory, self._room, self._records, self._clock = directory, room, records, clock
        self._parcels, self._shelf, self._scorer = parcels, shelf, scorer
        self._going: dict[str, _Going] = {}
        self._scorers: dict[str, tuple[str, Scorer]] = {}
        self._lock, self._turn, self._opening = threading.Lock(), threading.Lock(), threading.Lock()
        self._of_asker: dict[str, threading.Lock] = {}
        self._kept: Predictions | None = None
        self.closing = False
        """Whether no more requests are taken, since the room is about to change."""

    def answer(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one of `hitoku.transport.predictions.KINDS`.

        Raises:
            Refusal: the room does not allow it, or the asker's rows are spent.
            PeerError: the message is malformed.
            HitokuError: what went wrong when the run was computed.
        """
        kind = message["kind"]
        if kind == "hitoku/model-request/1":
            return self._give(sender, messages.read(ModelRequest, message, sender))
        if kind == "hitoku/predict/1":
            return self._take(sender, messages.read(Predict, message, sender))
        if kind == "hitoku/predict-wait/1":
            return self._wait(sender, messages.read(PredictWait, message, sender))
        if kind == "hitoku/prediction-over/1":
            return self._over(sender, messages.read(PredictionOver, message, sender))
        raise PeerError(f"{self._directory.name!r} does not answer such messages")

    @property
    def idle(self) -> bool:
        """Whether nothing is computed and nothing waits."""
        with self._lock:
            return all(g.done or g.error or g.over for g in self._going.values())

    def check(self, model: ServedModel) -> Scorer:
        """What computes with a model, if it may be served as the room says.

        Raises:
            Refusal: ``MODEL_NOT_AT_NODE``, ``MODEL_TOO_FINE``.
            InputError: its files are damaged.
        """
        with self._opening:  # a bundle may be large: it is opened once
            return self._checked(model)

    def _checked(self, model: ServedModel) -> Scorer:
        folder = model_folder(self._directory.path, model.name)
        try:
            client = (folder / CLIENT).read_bytes()
            stamp = hashlib.sha256(client).hexdigest()
            known = self._scorers.get(model.name)
            changed = (folder / BUNDLE).stat()
        except OSError:
            raise self._not_here(model) from None
        if model.client != "sha256:" + stamp:
            raise self._not_here(model)
        stamp += f"/{changed.st_mtime_ns}/{changed.st_size}"
        if known is None or known[0] != stamp:
            known = self._scorers[model.name] = (stamp, self._scorer(folder))
        if known[1].noise_width < float(model.step):
            raise Refusal(
                "MODEL_TOO_FINE",
                f"model {model.name!r} was compiled with less noise on its scores than the room's rounding",
                rule=f"models.{model.name}.rounding",
                owner=model.owner,
                remedy="compile it with a larger tolerance, or agree on a smaller rounding",
            )
        return known[1]

    def _not_here(self, model: ServedModel) -> Refusal:
        return Refusal(
            "MODEL_NOT_AT_NODE",
            f"the node of {model.owner!r} does not have model {model.name!r} as the room names it",
            owner=model.owner,
            remedy=f"{model.owner} puts it there with `hitoku model serve`",
        )

    @property
    def _records_of(self) -> Predictions:
        """The record of predictions; what a process before this one left is ended first.

        Unless that process is alive: a member's directory may be open in several.
        """
        with self._lock:
            if self._kept is None:
                self._kept = Predictions(self._records(), self._clock)
                lock = f".predictions-{self._room.agreement.id}.lock"
                if first(self, self._directory.path / "models" / lock):
                    self._kept.recover()
                    for run in self._shelf.runs():
                        if self._kept.of(run) is not None:  # nobody can ask for its end any more
                            self._shelf.over(run)
            return self._kept

    def _allowed(self, sender: str, room: str, name: str) -> ServedModel:
        if room != agreement_hash(self._room.agreement):
            raise Refusal(
                "OTHER_ROOM", "this member knows another version of the room", remedy="pull the room"
            )
        model = self._room.agreement.model(name)
        # Who may not ask hears the same of a model that is there and of one that is not.
        if model is None or model.owner != self._directory.name or sender not in model.askers:
            raise Refusal(
                "MODEL_NOT_ALLOWED",
                f"{self._directory.name!r} serves no model of that name to {sender!r}",
                rule="models",
                owner=self._directory.name,
                remedy="its owner names who may ask in the room's `models`",
            )
        return model

    def _give(self, sender: str, message: ModelRequest) -> dict[str, Any]:
        model = self._allowed(sender, message.room, message.model)
        self.check(model)
        client = (model_folder(self._directory.path, model.name) / CLIENT).read_text("utf-8")
        return ModelGiven(model=model.name, client=client).model_dump(mode="json")

    def _take(self, sender: str, message: Predict) -> dict[str, Any]:
        model = self._allowed(sender, message.room, message.model)
        if self.closing:
            raise Refusal("BUSY", "the room is about to change", remedy="ask again later")
        scorer = self.check(model)
        if message.rows != scorer.rows:
            raise InputError("the request has room for another number of rows than would be paid for")
        if message.request_size > scorer.most_request_bytes or message.keys_size > scorer.most_key_bytes:
            raise InputError("the request or its evaluation keys are larger than the model's can be")
        records = self._records_of
        self._shelf.clean()
        with self._lock:
            mine = {run: g for run, g in self._going.items() if g.asker == sender}
            ended = [run for run, g in mine.items() if g.done or g.error]
            if len(mine) - len(ended) >= _WAITING:
                raise Refusal("BUSY", "requests of this member wait already", remedy="ask again later")
            if message.run in self._going:
                raise Refusal("CONSENT_REPLAYED", "there was a run of this id", remedy="ask again")
            forgotten = ended[: max(0, len(ended) - _REMEMBERED + 1)]
            for run in forgotten:
                del self._going[run]
            going = self._going[message.run] = _Going(sender)
        for run in forgotten:
            self._shelf.over(run)
        try:
            records.take(message.run, model, sender, message.rows, message.request)
        except BaseException:
            with self._lock:
                del self._going[message.run]
            raise
        threading.Thread(
            target=self._work,
            args=(going, model, scorer, message),
            name=f"hitoku-predict-{message.run[:8]}",
            daemon=True,
        ).start()
        return Predicting(run=message.run, phase=going.phase).model_dump(mode="json")

    def _work(self, going: _Going, model: ServedModel, scorer: Scorer, message: Predict) -> None:
        done: PredictionDone | None = None
        error: HitokuError | None = None
        try:
            with self._lock:
                one_at_a_time = self._of_asker.setdefault(going.asker, threading.Lock())
            with one_at_a_time:
                if going.over:
                    raise _given_up(going.asker)
                done = self._scored(going, model, scorer, message)
        except HitokuError as why:
            error = why
        except Exception:  # its words may quote what it was given
            error = PeerError("the rows could not be scored", "INTERNAL")
        # Written down before it counts as over: the room may change, and the records be closed, from then on.
        with suppress(Exception):  # where it cannot be, it is ended when the node starts again
            self._records_of.end(message.run, PredictionState.FAILED if error else PredictionState.DONE)
        with self._lock:
            going.done, going.error = done, error
            if going.over:
                self._going.pop(message.run, None)
        if going.over or error is not None:
            self._shelf.over(message.run)

    def _scored(self, going: _Going, model: ServedModel, scorer: Scorer, message: Predict) -> PredictionDone:
        run, asker = message.run, going.asker
        files = KeyFiles(model_folder(self._directory.path, model.name) / "keys")
        going.phase = "takes the evaluation keys"
        keys = files.find(asker, message.keys)
        if keys is None:
            keys = self._fetch(asker, run, KEYS, message.keys_size, message.keys)
            files.keep(asker, message.keys, keys)
        going.phase = "takes the encrypted rows"
        request = self._fetch(asker, run, REQUEST, message.request_size, message.request)
        going.phase = "waits for its turn"
        with self._turn:
            if going.over:
                raise _given_up(asker)
            going.phase = "computes on them"
            result = scorer.run(request, keys)
        self._shelf.put(run, asker, RESULT, result)
        return PredictionDone(run=run, result=named(result), result_size=len(result))

    def _fetch(self, asker: str, run: str, name: str, size: int, digest: str) -> bytes:
        return fetched(self._parcels, asker, run, name, size, digest, _FETCH_SECONDS)

    def _wait(self, sender: str, message: PredictWait) -> dict[str, Any]:
        with self._lock:
            going = self._going.get(message.run)
        if going is None or going.asker != sender or going.over:
            raise Refusal(
                "NO_SUCH_RUN",
                "there is no such prediction under way here",
                remedy="ask again; a run that the node was working on when it stopped stays charged",
            )
        if going.error is not None:
            raise _told(going.error)
        if going.done is not None:
            return going.done.model_dump(mode="json")
        return Predicting(run=message.run, phase=going.phase).model_dump(mode="json")

    def _over(self, sender: str, message: PredictionOver) -> dict[str, Any]:
        with self._lock:
            going = self._going.get(message.run)
            if going is not None and going.asker == sender:
                going.over = True
                if going.done is not None or going.error is not None:
                    del self._going[message.run]
        if going is not None and going.asker == sender:
            self._shelf.over(message.run)
        return PredictionEnded(run=message.run).model_dump(mode="json")


def _given_up(asker: str) -> PeerError:
    return PeerError(f"{asker!r} gave the run up", "GIVEN_UP")


def _told(error: HitokuError) -> Refusal:
    """What an asker hears of a run that failed: the words of hitoku's own checks of what it sent."""
    if isinstance(error, Refusal):
        return error
    own = isinstance(error, (InputError, PeerError))
    words = str(error) if own else "the rows could not be scored"
    return Refusal("PREDICTION_FAILED", words, remedy="ask again; the rows stay charged")
