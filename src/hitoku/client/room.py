# SPDX-License-Identifier: Apache-2.0
"""A room, as a program sees it through a node's API; asks like a `RoomHandle`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from hitoku.client.asking import Asking
from hitoku.client.http import Door
from hitoku.client.shapes import Explained, answer_of, preview_of, scored_of, sent_of
from hitoku.errors import InputError, PeerError, Refusal
from hitoku.ports import Progress

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from hitoku.ask import Sent
    from hitoku.ask.preview import Preview
    from hitoku.disclosure.answer import Answer
    from hitoku.node.predicting import Scored
    from hitoku.room.agreement import Agreement

__all__ = ["RoomClient"]

_PAGE: Final = 500
_PREDICT_SECONDS: Final = 3_900.0
_PREVIEW_SECONDS: Final = 120.0


class RoomClient:
    """A room of a node. Made by `Connection.room`.

    Attributes:
        me: the member who asks: the node's.
        facts: what the API said of the room: ``id``, ``name``, ``state``, ``hash``, ...
    """

    def __init__(self, door: Door, path: str, facts: dict[str, Any], me: str, progress: Progress) -> None:
        self.me = me
        self.facts = facts
        self._door = door
        self._path = path
        self._asking = Asking(door, path, progress)

    def __repr__(self) -> str:
        return f"RoomClient({self.name!r}, me={self.me!r})"

    @property
    def id(self) -> str:
        """The room's UUID."""
        return str(self.facts.get("id"))

    @property
    def name(self) -> str:
        """The room's name."""
        return str(self.facts.get("name"))

    @property
    def hash(self) -> str:
        """The agreement's hash, its name in every record."""
        return str(self.facts.get("hash"))

    @cached_property
    def agreement(self) -> Agreement:
        """What the members agreed on.

        Raises:
            PeerError: the node's agreement cannot be read.
        """
        from pydantic import ValidationError

        from hitoku.room.agreement import Agreement

        try:
            return Agreement.model_validate(self.facts.get("agreement"))
        except ValidationError:
            raise PeerError("the node's agreement cannot be read", "BAD_RESPONSE") from None

    @property
    def receivers(self) -> tuple[str, ...]:
        """Who receives where nobody is named: this member, if it may, otherwise all who may."""
        from hitoku.room.agreement import Ability

        able = tuple(m.name for m in self.agreement.able(Ability.RECEIVE))
        return (self.me,) if self.me in able else able

    def ask(
        self,
        sql: str,
        *,
        receivers: Iterable[str] | None = None,
        progress: Progress | None = None,
        users_noise: int | None = None,
        epsilon: Decimal | str | None = None,
    ) -> Answer:
        """Ask a question and receive its answer. Ctrl-C cancels it at the node, too.

        Args:
            sql: one SQL statement over the room's tables.
            receivers: who else receives the answer; this member must be among them.
            progress: hears about the phases.
            users_noise: how many units' contributions the noise hides.
            epsilon: what the question may cost of every account; the least noise for that is taken.

        Raises:
            InputError: `users_noise` and `epsilon` are both given, or one is out of its range.
            Refusal: a rule does not allow it, or the user may not ask.
            LimitError: a quota of the node is reached.
            EngineError: ``CANCELLED``, it was cancelled.
            PeerError: the node or another member cannot be reached or failed.
        """
        to = self.receivers if receivers is None else tuple(receivers)
        if self.me not in to:
            raise Refusal(
                "ASKER_DOES_NOT_RECEIVE",
                f"{self.me!r} would not receive the answer",
                rule=f"members.{self.me}.abilities",
                remedy="send the answer to who may receive: `--to MEMBER`, in Python `send`",
            )
        done = self._asking.ask(_question(sql, receivers, users_noise, epsilon), progress)
        return answer_of(self._door.get(f"{self._path}/asks/{done['id']}/answer"), self.me)

    def send(
        self,
        sql: str,
        *,
        receivers: Iterable[str] | None = None,
        progress: Progress | None = None,
        users_noise: int | None = None,
        epsilon: Decimal | str | None = None,
    ) -> Sent:
        """Ask a question whose answer goes to others; arguments and errors are those of `ask`."""
        return sent_of(self._asking.ask(_question(sql, receivers, users_noise, epsilon), progress))

    def preview(
        self,
        sql: str,
        *,
        receivers: Iterable[str] | None = None,
        users_noise: int | None = None,
        epsilon: Decimal | str | None = None,
    ) -> Preview:
        """What a question would cost each owner's accounts. Reads no data and charges nothing."""
        data = _question(sql, receivers, users_noise, epsilon)
        return preview_of(self._door.post(f"{self._path}/preview", data, seconds=_PREVIEW_SECONDS))

    def explain(self, sql: str) -> Explained:
        """What would happen to a question, and what each member would learn; nothing is run."""
        return Explained.of(self._door.post(f"{self._path}/explain", {"sql": sql}, seconds=_PREVIEW_SECONDS))

    def cancel(self) -> None:
        """End the questions that other threads ask with this object; they get an EngineError."""
        self._asking.cancel()

    def predict(self, model: str, rows: ArrayLike, *, progress: Progress | None = None) -> Scored:
        """Have rows scored by a model that another member's node serves, without showing them.

        The rows go to this member's own node, which encrypts them; needs numpy.

        Args:
            model: the model's name in the room.
            rows: [n, *shape of the model's input], numbers.
            progress: hears that it goes on; the node tells no phases of it.

        Raises:
            InputError: numpy is not installed.
            Refusal: the room or the model's owner does not allow it, or the day's rows are spent.
            PeerError: the model's owner cannot be reached or failed.
        """
        try:
            import numpy as np
        except ImportError:
            raise InputError("predict needs numpy: pip install numpy") from None
        if progress is not None:
            progress.phase("predict")
        data = {"rows": np.asarray(rows, dtype=np.float64).tolist()}
        path = f"{self._path}/models/{quote(model, safe='')}/predictions"
        return scored_of(self._door.post(path, data, seconds=_PREDICT_SECONDS))

    def tables(self) -> list[dict[str, Any]]:
        """The room's tables, with columns, owner and rule."""
        return _items(self._door.get(f"{self._path}/tables"), "tables")

    def templates(self) -> list[dict[str, Any]]:
        """The room's templates: name, SQL, parameters, hash, and who approved it."""
        return _items(self._door.get(f"{self._path}/templates"), "templates")

    def models(self) -> list[dict[str, Any]]:
        """The models that members serve in the room."""
        return _items(self._door.get(f"{self._path}/models"), "models")

    def budgets(self) -> dict[str, Any]:
        """How this member's own ``accounts`` and access ``windows`` stand."""
        found = self._door.get(f"{self._path}/budgets")
        if not isinstance(found, dict):
            raise PeerError("the node's answer cannot be read", "BAD_RESPONSE")
        return found

    def ledger(self, after: int = -1) -> Iterator[dict[str, Any]]:
        """The entries of this member's ledger behind entry `after`, page by page."""
        while True:
            page = self._door.get(f"{self._path}/ledger", {"after": after, "limit": _PAGE})
            entries = _items(page, "entries")
            yield from entries
            if len(entries) < _PAGE:
                return
            after = int(entries[-1]["seq"])

    def ledger_proof(self, seq: int) -> dict[str, Any]:
        """The proof that an entry is in the ledger; `hitoku ledger prove --check` reads it."""
        found: dict[str, Any] = self._door.get(f"{self._path}/ledger/{int(seq)}/proof")
        return found

    def verify_ledger(self) -> dict[str, Any]:
        """Have the node check its whole ledger: every entry, the tree, the signed head."""
        found: dict[str, Any] = self._door.get(f"{self._path}/ledger/verify")
        return found


def _question(
    sql: str, receivers: Iterable[str] | None, users_noise: int | None, epsilon: Decimal | str | None
) -> dict[str, Any]:
    if users_noise is not None and epsilon is not None:
        raise InputError("say either users_noise or epsilon: each sets the other")
    return {
        "sql": sql,
        "receivers": None if receivers is None else list(receivers),
        "users_noise": users_noise,
        "epsilon": None if epsilon is None else str(epsilon),
    }


def _items(data: Any, name: str) -> list[dict[str, Any]]:
    found = data.get(name) if isinstance(data, dict) else None
    if not isinstance(found, list):
        raise PeerError("the node's answer cannot be read", "BAD_RESPONSE")
    return found
