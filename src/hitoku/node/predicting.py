# SPDX-License-Identifier: Apache-2.0
"""An asker: has rows scored by another member's model, without showing them.

The secret key is made here and stays in a file that only this member reads; evaluation keys and encrypted
rows wait on this node's shelf until the model's owner has taken them. Rows are encrypted before a message is
sent, so a row that the model was not made for is refused here, at no cost.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hitoku import limits
from hitoku.errors import LimitError, PeerError, Refusal
from hitoku.node.bulk import KEYS, REQUEST, RESULT, BulkShelf, fetched, named
from hitoku.room.canonical import agreement_hash
from hitoku.room.files import locked, write_whole
from hitoku.room.predictions import Predictions
from hitoku.room.private import read_private, write_private
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
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from hitoku.inference import Client
    from hitoku.ports import Clock, Parcels, Peers, Progress
    from hitoku.room.agreement import Room
    from hitoku.room.directory import MemberDirectory
    from hitoku.room.models import ServedModel
    from hitoku.room.records import Records

__all__ = ["Asker", "Scored"]

_WHAT: Final = "the secret key of a model's client"
_EVALUATION: Final = "evaluation.keys"
_RESULT_SECONDS: Final = 60.0
_LONGEST_SECONDS: Final = 3600.0
_LOOK_SECONDS: Final = (0.02, 0.5)


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of rows.

    Attributes:
        model: the model's name.
        owner: whose it is.
        runs: one id for each request, as both ledgers name it.
        scores: [rows, outputs], in the model's own unit, rounded as the room says.
        outputs: [rows, columns] after the model's last steps (softmax, argmax, ...) on these scores.
        names: of the scores; may be empty.
        rounding: the width of the noise on each score, at least.
        charged: how many rows were charged.
        learned: who learned what, in words.
    """

    model: str
    owner: str
    runs: tuple[str, ...]
    scores: NDArray[np.float64]
    outputs: NDArray[np.float64]
    names: tuple[str, ...]
    rounding: str
    charged: int
    learned: tuple[tuple[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "model": self.model,
            "owner": self.owner,
            "runs": list(self.runs),
            "scores": self.scores.tolist(),
            "outputs": self.outputs.tolist(),
            "names": list(self.names),
            "rounding": self.rounding,
            "rows": len(self.scores),
            "rows_charged": self.charged,
            "learned": [{"member": member, "words": words} for member, words in self.learned],
        }


class Asker:
    """One member that has rows scored in one room.

    Args:
        directory: its own.
        room: the room, verified.
        peers: the way to the model's owner.
        parcels: the way to its parcels.
        records: what this member remembers.
        shelf: where this node has ready what the owner takes.
        clock: the time.
        progress: hears about the phases.
    """

    def __init__(
        self,
        directory: MemberDirectory,
        room: Room,
        peers: Peers,
        parcels: Parcels,
        records: Records,
        shelf: BulkShelf,
        clock: Clock,
        progress: Progress,
    ) -> None:
        self._directory, self._room, self._peers, self._parcels = directory, room, peers, parcels
        self._records, self._shelf, self._clock, self._progress = records, shelf, clock, progress

    def predict(self, model: str, rows: ArrayLike) -> Scored:
        """Have rows scored.

        Args:
            model: the model's name in the room.
            rows: [n, *shape of the model's input].

        Raises:
            Refusal: the room or the owner does not allow it.
            ModelError: rows that the model was not made for; nothing was sent then.
            LimitError: a request of this model is larger than can be sent.
            PeerError: the owner cannot be reached, or sends what cannot be.
        """
        import numpy as np

        from hitoku.inference import post

        served = self._served(model)
        client = self._client(served)
        given = np.asarray(rows, dtype=np.float64)
        most = client.samples_per_request
        parts = [given[start : start + most] for start in range(0, len(given), most)] or [given]
        if client.most_request_bytes > limits.MAX_PREDICTION_BYTES:
            raise LimitError(
                f"a request of model {model!r} may have {client.most_request_bytes:,} bytes, and at most "
                f"{limits.MAX_PREDICTION_BYTES:,} are sent; its owner compiles it with fewer inputs"
            )
        self._progress.phase("encrypt")
        for part in parts:  # all of them first: what is refused here costs nothing
            client.spec.encoder.encode(part)
        keys = self._keys(served, client)
        self._shelf.clean()
        runs: list[str] = []
        scores = []
        for part in parts:
            self._progress.phase("encrypt")
            request = client.encrypt(part)
            run = secrets.token_hex(16)
            try:
                self._offer(run, served, keys, request)
                runs.append(run)
                answer = self._asked(run, served, client, keys, request)
            finally:
                self._over(run, served)
            self._progress.phase("decrypt")
            scores.append(client.decrypt(answer, len(part)))
        step = float(served.step)
        found = np.round(np.concatenate(scores) / step) * step
        charged = most * len(parts)
        return Scored(
            served.name,
            served.owner,
            tuple(runs),
            found,
            # Of rounded scores: what is decrypted tells of the secret key to whoever sees it exactly.
            post.apply(client.spec.scores.post, found),
            client.spec.scores.names,
            served.rounding,
            charged,
            _learned(self._directory.name, served, len(parts), charged),
        )

    def _served(self, name: str) -> ServedModel:
        me, agreement = self._directory.name, self._room.agreement
        model = agreement.model(name)
        if model is None or me not in model.askers:
            mine = [m.name for m in agreement.models if me in m.askers]
            raise Refusal(
                "MODEL_NOT_ALLOWED",
                f"the room names no model {name!r} that {me!r} may ask"
                + (f"; it may ask {', '.join(mine)}" if mine else ""),
                rule="models",
                owner=None if model is None else model.owner,
                remedy="the model's owner names who may ask in the room's `models`",
            )
        return model

    def _folder(self, model: ServedModel) -> Path:
        folder = self._directory.path / "asked" / model.name / model.client.removeprefix("sha256:")[:32]
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        return folder

    def _client(self, model: ServedModel) -> Client:
        """The client of a model, with the secret key of this member's earlier requests where there is one."""
        from hitoku.inference import Client

        folder = self._folder(model)
        text = self._specification(model, folder / "client.json")
        path = folder / "secret.key"
        with locked(path):  # two that ask at the same time for the first time have one key
            if path.exists():
                return Client(text, read_private(path, _WHAT))
            client = Client(text)
            part = folder / ".secret.key.part"
            part.unlink(missing_ok=True)
            write_private(part, client.secret(), _WHAT)
            # Evaluation keys belong to the secret key: those of another would spoil scores that are paid for.
            (folder / _EVALUATION).unlink(missing_ok=True)
            part.replace(path)
            return client

    def _specification(self, model: ServedModel, path: Path) -> str:
        if path.is_file():
            content = path.read_bytes()
            if named(content) == model.client:
                return content.decode("utf-8")
        message = ModelRequest(room=agreement_hash(self._room.agreement), model=model.name)
        reply = self._peers.call(model.owner, message.model_dump(mode="json"))
        content = messages.read(ModelGiven, reply, model.owner).client.encode("utf-8")
        if named(content) != model.client:
            raise PeerError(f"{model.owner!r} sent another client specification than the room names")
        write_whole(path, content)
        return content.decode("utf-8")

    def _keys(self, model: ServedModel, client: Client) -> bytes:
        """The evaluation keys: made once, since making them takes longer than reading them."""
        folder = self._folder(model)
        path = folder / _EVALUATION
        with locked(folder / "secret.key"):
            if path.is_file():
                return path.read_bytes()
            self._progress.phase("make keys")
            made = client.keys()
            write_whole(path, made)
            return made

    def _offer(self, run: str, model: ServedModel, keys: bytes, request: bytes) -> None:
        """Put on the shelf what the owner will take. It takes the keys only where it does not have them."""
        self._shelf.put(run, model.owner, KEYS, keys)
        self._shelf.put(run, model.owner, REQUEST, request)

    def _asked(self, run: str, model: ServedModel, client: Client, keys: bytes, request: bytes) -> bytes:
        owner, rows = model.owner, client.samples_per_request
        Predictions(self._records, self._clock).asked(run, model, rows, named(request))
        message = Predict(
            room=agreement_hash(self._room.agreement),
            model=model.name,
            run=run,
            rows=rows,
            keys=named(keys),
            keys_size=len(keys),
            request=named(request),
            request_size=len(request),
        )
        reply = self._peers.call(owner, message.model_dump(mode="json"))
        phase = messages.read(Predicting, reply, owner).phase
        self._progress.phase(phase)
        done = self._done(run, owner, phase)
        if done.run != run or done.result_size > client.most_answer_bytes:
            raise PeerError(f"{owner!r} names scores that are not of this request")
        return fetched(self._parcels, owner, run, RESULT, done.result_size, done.result, _RESULT_SECONDS)

    def _done(self, run: str, owner: str, phase: str) -> PredictionDone:
        until, pause = time.monotonic() + _LONGEST_SECONDS, _LOOK_SECONDS[0]
        while time.monotonic() < until:
            reply = self._peers.call(owner, PredictWait(run=run).model_dump(mode="json"))
            if reply.get("kind") == "hitoku/prediction-done/1":
                return messages.read(PredictionDone, reply, owner)
            now = messages.read(Predicting, reply, owner).phase
            if now != phase:
                phase = now
                self._progress.phase(phase)
            time.sleep(pause)
            pause = min(2 * pause, _LOOK_SECONDS[1])
        raise PeerError(f"{owner!r} did not score the rows within an hour", "LATE")

    def _over(self, run: str, model: ServedModel) -> None:
        """Nothing of the run is needed any more, here or there."""
        self._shelf.over(run)
        try:
            reply = self._peers.call(model.owner, PredictionOver(run=run).model_dump(mode="json"))
            messages.read(PredictionEnded, reply, model.owner)
        except (PeerError, Refusal):
            return  # the owner cleans up by itself after a day


def _learned(me: str, model: ServedModel, requests: int, charged: int) -> tuple[tuple[str, str], ...]:
    size = "one request" if requests == 1 else f"{requests} requests"
    theirs = (
        f"that {me} sent {size} with room for {charged:,} rows, and when; no row, no score, "
        "and not how many of the places were used"
    )
    ours = (
        f"the scores, each with noise at least {model.rounding} wide, and the model's client "
        "specification: shapes, bounds of the inputs, how deep it is, and of tree models the bins"
    )
    return ((model.owner, theirs), (me, ours))
