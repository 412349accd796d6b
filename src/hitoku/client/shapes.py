# SPDX-License-Identifier: Apache-2.0
"""What the API says before a question is asked, and where nothing comes back, as Python values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hitoku.client.errors import rebuilt
from hitoku.disclosure.leakage import Leakage, Learned
from hitoku.errors import PeerError, Refusal

if TYPE_CHECKING:
    from hitoku.ask import Sent
    from hitoku.ask.preview import Preview
    from hitoku.disclosure.answer import Answer
    from hitoku.node.predicting import Scored

__all__ = ["Explained", "answer_of", "preview_of", "scored_of", "sent_of"]


@dataclass(frozen=True, slots=True)
class Explained:
    """The verdict on a question, and all that can be told before it is asked.

    Attributes:
        verdict: ``accept`` or ``refuse``.
        question: the question in normal form, its outputs and thresholds, as JSON; None where refused.
        refusal: why it is refused; None where it is not.
        choices: what each protection of the room would do with it, as JSON.
        data: the whole as JSON.
    """

    verdict: str
    question: Mapping[str, Any] | None
    refusal: Refusal | None
    choices: tuple[Mapping[str, Any], ...]
    data: Mapping[str, Any]

    @classmethod
    def of(cls, data: Any) -> Explained:
        """Read what the API says.

        Raises:
            PeerError: it cannot be read.
        """
        try:
            refused = data["refusal"]
            refusal = None if refused is None else rebuilt(refused)
            if refusal is not None and not isinstance(refusal, Refusal):
                raise ValueError
            return cls(str(data["verdict"]), data["question"], refusal, tuple(data["protections"]), data)
        except (KeyError, TypeError, ValueError):
            raise _unreadable("explanation") from None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, the same as the command line's."""
        return dict(self.data)

    def learned(self, protection: str | None = None) -> Leakage:
        """Who would learn what, by a protection; by the first that can where none is named."""
        for choice in self.choices:
            if choice.get("supported") and protection in {None, choice.get("protection")}:
                items = choice.get("learned") or []
                return Leakage(
                    tuple(
                        Learned(str(i["member"]), str(i["code"]), str(i["words"]), i.get("assumption"))
                        for i in items
                    )
                )
        return Leakage(())


def preview_of(data: Any) -> Preview:
    """What a question would cost, as `RoomHandle.preview` says it.

    Raises:
        PeerError: it cannot be read.
    """
    from hitoku.ask.preview import Preview
    from hitoku.transport.preview import Previewed, WindowLeft

    try:
        return Preview(
            question=str(data["question"]),
            sql=str(data["sql"]),
            users_noise=data["users_noise"],
            answered=data["answered"],
            accounts=tuple((str(a["owner"]), _message(Previewed, a)) for a in data["accounts"]),
            windows=tuple((str(w["owner"]), _message(WindowLeft, w)) for w in data["windows"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _unreadable("preview") from None


def _message(model: Any, data: Mapping[str, Any]) -> Any:
    content = {name: value for name, value in data.items() if name != "owner"}
    return model.model_validate_json(json.dumps(content))


def answer_of(data: Any, me: str) -> Answer:
    """The same Answer that the node received.

    Raises:
        PeerError: it cannot be read.
    """
    from dataclasses import replace

    from hitoku.disclosure.answer import Answer

    if not isinstance(data, Mapping) or not isinstance(data.get("answer"), Mapping):
        raise _unreadable("answer")
    answer = Answer.from_message(data["answer"], me)
    deletion = data.get("deletion")
    return replace(answer, deletion=deletion) if isinstance(deletion, Mapping) else answer


def sent_of(data: Mapping[str, Any]) -> Sent:
    """What comes back where the answer went to others."""
    from hitoku.ask import Sent

    receivers = data.get("receivers")
    if not isinstance(receivers, list):
        raise _unreadable("question")
    return Sent(str(data.get("run")), str(data.get("question")), tuple(str(r) for r in receivers))


def scored_of(data: Any) -> Scored:
    """Scores, as `RoomHandle.predict` gives them.

    Raises:
        PeerError: they cannot be read.
    """
    import numpy as np

    from hitoku.node.predicting import Scored

    try:
        return Scored(
            model=str(data["model"]),
            owner=str(data["owner"]),
            runs=tuple(str(r) for r in data["runs"]),
            scores=np.asarray(data["scores"], dtype=np.float64),
            outputs=np.asarray(data["outputs"], dtype=np.float64),
            names=tuple(str(n) for n in data["names"]),
            rounding=str(data["rounding"]),
            charged=int(data["rows_charged"]),
            learned=tuple((str(i["member"]), str(i["words"])) for i in data["learned"]),
        )
    except (KeyError, TypeError, ValueError):
        raise _unreadable("prediction") from None


def _unreadable(what: str) -> PeerError:
    return PeerError(f"the node's {what} cannot be read", "BAD_RESPONSE")
