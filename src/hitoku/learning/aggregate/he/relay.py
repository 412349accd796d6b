# SPDX-License-Identifier: Apache-2.0
"""The server's side of `he`: asks the leader what is next, relays, adds ciphertexts. It reads nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import HitokuError, InputError, PeerError
from hitoku.hazmat import ring_threshold as ring
from hitoku.hazmat.ring_errors import RingError
from hitoku.learning.aggregate.he.sealing import CARD, GROUP_BOX_BYTES
from hitoku.learning.aggregate.masks.statements import Scope
from hitoku.learning.base import TooFewMembers
from hitoku.learning.channel import Channel, refusal_from
from hitoku.learning.plan import Plan

__all__ = ["HeRelay", "LeaderLost"]

Arrays = Mapping[str, NDArray[Any]]
_Replies = dict[str, tuple[dict[str, Any], dict[str, NDArray[Any]]]]
_POLL: Final = 2.0
_MOST_AHEAD: Final = 1 << 32
_COOLING: Final = 8
"""So many sets are formed without a member that did not answer to a card."""


class LeaderLost(HitokuError):
    """The leader does not answer: nobody else may open sums, so the run waits for it."""

    exit_code = 8


class HeRelay:
    """Runs a learning run that is driven by a member.

    Args:
        channel: to the members.
        plan: the signed plan.
        run: the run's id.
        leader: who opens sums; None: the first member by name. The same through a run, also after a restart.
        threads: for sums of ciphertexts; every core by default.
    """

    def __init__(
        self, channel: Channel, plan: Plan, run: str, leader: str | None = None, threads: int | None = None
    ) -> None:
        self._channel, self._plan, self._threads = channel, plan, threads
        self._scope = Scope(plan, run, channel.publics)
        self.leader = plan.members[0] if leader is None else leader
        if self.leader not in plan.members:
            raise InputError(f"{self.leader} is not a member of this run and cannot lead it")
        self.members: tuple[str, ...] = ()
        """The set whose keys are in use; empty if there is none."""
        self._number = 0
        self._cooling: dict[str, int] = {}

    def run(self, progress: Callable[[Mapping[str, Any]], None] | None = None) -> dict[str, Any]:
        """Relay until the leader says that the run is over.

        Args:
            progress: hears of every wish: what, how many values.

        Returns:
            What the leader lets the server know of the run.

        Raises:
            LeaderLost: the leader is gone for longer than the plan's seconds.
            TooFewMembers: too few members are left.
            Refusal: a member refused what the run needs.
            PeerError: the run failed at the leader.
        """
        answer: dict[str, Any] | None = None
        arrays: Arrays = {}
        while True:
            wish, values = self._wish(answer, arrays)
            answer, arrays = None, {}
            match wish.get("do"):
                case "wait":
                    continue
                case "finished":
                    said = wish.get("said")
                    return said if isinstance(said, dict) else {}
                case "failed":
                    raise _failed(wish.get("error"))
                case "open":
                    answer = self._open(wish)
                case "sum":
                    answer, arrays = self._sum(wish, values)
                case "tell":
                    answer, arrays = self._tell(wish, values)
                case _:
                    raise PeerError("the leader wishes what a server cannot do", "MALFORMED")
            answer["number"] = wish.get("number")
            if progress is not None:
                progress({"do": wish["do"], "values": wish.get("length", 0), "members": self.members})

    def _wish(self, answer: dict[str, Any] | None, arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
        limit = self._plan.aggregation.seconds
        body: dict[str, Any] = {"seconds": min(_POLL, limit / 4)}
        if answer is not None:
            body["answer"] = answer
        end = time.monotonic() + limit
        while True:
            refused = len(self._channel.refusals)
            replies = self._channel.ask("he/next", {self.leader: (body, arrays)})
            if self.leader in replies:
                return replies[self.leader]
            if len(self._channel.refusals) > refused:
                raise self._channel.refusals[-1][2]
            if time.monotonic() >= end:
                reason = self._channel.absences[-1].reason if self._channel.absences else "no answer"
                raise LeaderLost(
                    f"{self.leader} leads this run and does not go on: {reason}. Start {self.leader}'s "
                    "`hitoku learn join` again, and this `hitoku learn run` with the same folder: the run "
                    "goes on from the leader's checkpoint"
                )
            time.sleep(min(0.1, limit / 20))

    # --- sets ---

    def _open(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        excluded = wish.get("excluded")
        left_out = set(excluded) if isinstance(excluded, list) else set()
        refused = len(self._channel.refusals)
        connected = set(self._channel.members) - left_out
        self._cooling = {name: n - 1 for name, n in self._cooling.items() if n > 1 and name in connected}
        wanted = tuple(sorted(connected - set(self._cooling)))
        if self.members and wanted == self.members and not wish.get("fresh"):
            return {"set": self._number}
        self.members = ()
        # Who is lost on the way is left out the next time; each try loses somebody, so this ends.
        while len(wanted) >= self._plan.threshold and self.leader in wanted:
            left = self._keys(wanted)
            if left == wanted:
                self.members = wanted
                return {"set": self._number}
            wanted = left
        said: dict[str, Any] = {"few": list(wanted)}
        if len(self._channel.refusals) > refused:
            said["refused"] = self._channel.refusals[refused][2].to_dict()
        return said

    def _keys(self, wanted: tuple[str, ...]) -> tuple[str, ...]:
        """Cards, shares, joining; who is left."""
        cards = self._cards(wanted)
        # No set is formed without the leader: one that was started again just now is back at once.
        for name in set(wanted) - set(cards) - {self.leader}:
            self._cooling[name] = _COOLING
        members = tuple(cards)
        if len(members) < self._plan.threshold or self.leader not in cards:
            return members
        listed = {name: [said["public"], said["signature"]] for name, said in cards.items()}
        about = {"set": self._number, "leader": self.leader, "keys": listed}
        replies = self._channel.ask("he/share", dict.fromkeys(members, (about, {})))
        shown = {
            name: values["share"]
            for name, (_, values) in replies.items()
            if _is(values.get("share"), (ring.SHARE_BYTES,))
        }
        if set(shown) != set(members):
            return tuple(sorted(shown))
        peers = [name for name in members if name != self.leader]
        boxes = replies[self.leader][1].get("sealed/boxes")
        if boxes is None or not _is(boxes, (len(peers), GROUP_BOX_BYTES)):
            return tuple(peers)
        shares = np.stack([shown[name] for name in members])
        requests: dict[str, tuple[Mapping[str, Any], Arrays]] = {
            peer: ({"set": self._number}, {"shares": shares, "sealed/box": box})
            for peer, box in zip(peers, boxes, strict=True)
        }
        requests[self.leader] = ({"set": self._number}, {"shares": shares})
        return tuple(self._channel.ask("he/join", requests))

    def _cards(self, wanted: tuple[str, ...]) -> dict[str, dict[str, Any]]:
        """Signed cards of all who answer for one number; members that were further on say so, once."""
        self._number += 1
        cards: dict[str, dict[str, Any]] = {}
        for _ in range(2):
            number = self._number
            replies = self._channel.ask("he/card", dict.fromkeys(wanted, ({"set": number}, {})))
            cards = {name: said for name, (said, _) in replies.items() if self._is_card(name, number, said)}
            least = [said["least"] for said, _ in replies.values() if type(said.get("least")) is int]
            if not least:
                break
            self._number = max(number, min(max(least), number + _MOST_AHEAD))
        return cards

    def _is_card(self, name: str, number: int, said: Mapping[str, Any]) -> bool:
        try:
            public, signature = bytes.fromhex(said["public"]), bytes.fromhex(said["signature"])
        except (KeyError, TypeError, ValueError):
            return False
        fits = said.get("number") == number and len(public) == 64
        return fits and self._scope.valid_keys(CARD, number, name, public, signature)

    # --- sums and words ---

    def _sum(self, wish: Mapping[str, Any], values: Arrays) -> tuple[dict[str, Any], Arrays]:
        about = {"set": wish.get("set"), "number": wish.get("number")}
        if about["set"] != self._number or not self.members:
            return {"lost": []}, {}
        try:
            shape = ring.layout(len(self.members), int(wish["bound"]), int(wish["length"]))
            box = values["sealed/instruction"]
        except (KeyError, TypeError, ValueError, InputError):
            raise PeerError("the leader's wish is malformed", "MALFORMED") from None
        refused = len(self._channel.refusals)
        check = (16 * shape.hash_length + 16,)
        sizes = {
            "encrypted/first": (shape.first_bytes,),
            "encrypted/second": (shape.second_bytes,),
            "sealed/check": check,
        }
        request = (about, {"sealed/instruction": box})
        given = _fit(self._channel.ask("he/give", dict.fromkeys(self.members, request)), sizes)
        if set(given) != set(self.members):
            return self._lost(set(given), refused), {}
        checks = np.stack([given[name]["sealed/check"] for name in self.members])
        peers = [name for name in self.members if name != self.leader]
        try:
            second = self._added(shape, given, "encrypted/second")
            to_open = (about, {"encrypted/second": second, "sealed/checks": checks})
            sizes = {"encrypted/part": (shape.first_bytes,), "sealed/check": (8 * shape.hash_length + 16,)}
            parts = _fit(self._channel.ask("he/open", dict.fromkeys(peers, to_open)), sizes)
            if set(parts) != set(peers):
                return self._lost({*parts, self.leader}, refused), {}
            halves = {name: arrays["encrypted/first"] for name, arrays in given.items()}
            halves |= {f"part of {name}": arrays["encrypted/part"] for name, arrays in parts.items()}
            first = ring.add(shape, list(halves.values()), second=False, threads=self._threads)
        except RingError as error:
            # Residues that are none: the row says whose, of all members' halves and then the parts.
            name = [*self.members, *peers][error.row or 0]
            return self._lost(set(self.members) - {name}, refused), {}
        return {}, {
            "encrypted/first": first,
            "encrypted/second": second,
            "sealed/checks": checks,
            "sealed/parts": np.stack([parts[name]["sealed/check"] for name in peers]),
        }

    def _added(self, shape: ring.Layout, given: Mapping[str, Arrays], what: str) -> NDArray[np.uint8]:
        return ring.add(
            shape, [given[name][what] for name in self.members], second=True, threads=self._threads
        )

    def _lost(self, there: set[str], refused: int) -> dict[str, Any]:
        lost = sorted(set(self.members) - there)
        said: dict[str, Any] = {"lost": lost}
        if len(self._channel.refusals) > refused:
            said["refused"] = self._channel.refusals[refused][2].to_dict()
        else:
            self.members = ()
        return said

    def _tell(self, wish: Mapping[str, Any], values: Arrays) -> tuple[dict[str, Any], Arrays]:
        about = {"set": wish.get("set"), "number": wish.get("number")}
        peers = [name for name in self.members if name != self.leader]
        if about["set"] != self._number or "sealed/said" not in values:
            return {"said": []}, {}
        replies = self._channel.ask(
            "he/tell", dict.fromkeys(peers, (about, {"sealed/said": values["sealed/said"]}))
        )
        boxes = {name: made["sealed/said"] for name, (_, made) in replies.items() if "sealed/said" in made}
        said = {f"sealed/{place}": box for place, box in enumerate(boxes.values())}
        return {"said": list(boxes)}, said


def _is(values: Any, shape: tuple[int, ...]) -> bool:
    return isinstance(values, np.ndarray) and values.dtype == np.uint8 and values.shape == shape


def _fit(replies: _Replies, sizes: Mapping[str, tuple[int, ...]]) -> dict[str, dict[str, NDArray[Any]]]:
    """The replies whose arrays are all there and of their size."""
    return {
        name: arrays
        for name, (_, arrays) in replies.items()
        if all(_is(arrays.get(what), size) for what, size in sizes.items())
    }


def _failed(error: Any) -> HitokuError:
    said = error if isinstance(error, dict) else {}
    kind, message = (
        "".join(c if c.isprintable() else " " for c in str(said.get(key, "")))[:500]
        for key in ("error", "message")
    )
    if kind == "TooFewMembers":
        return TooFewMembers(message)
    if kind == "Refusal":
        return refusal_from(said)
    return PeerError(f"the run failed at the leader: {kind}: {message}", "LEADER_FAILED")
