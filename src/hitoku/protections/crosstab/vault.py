# SPDX-License-Identifier: Apache-2.0
"""One member's folder of one run: its input, its secrets, and the messages that it serves to the other.

::

    input.arrow     the rows, written first
    secrets         keys, seeds and noise (`Draws`), 0600, for exactly that input and those parameters
    terms           the hash of the terms that the mask was first used under, and the other side's offer
    parcels/        messages, each there whole or not at all
    left-<name>     the first byte of that message may have left
    figures         the result; once it is there, the rest is erased
    ended           nothing is served any more
    work/           what a crash may lose

The rule that it keeps: **no mask meets two inputs, and no mask two terms.** Keys and noise come out of
`masks` only, for the input whose digest stands beside them and for the terms that were pinned before; a
second input would show the other side who changed, second terms (a second key or sizes of the other side)
would give it a second view for one charge. That secrets were drawn is also written down outside the folder
(`Witness`): where the folder is lost, they are not drawn again. Everything is on disk, synced, before a
message that depends on it can be served.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from hitoku import limits
from hitoku.errors import InputError, PeerError, Refusal, SecretError
from hitoku.protections.crosstab.draws import Draws
from hitoku.protections.crosstab.durable import PART, private_folder, sync_folder, whole, wipe, write_whole
from hitoku.protections.crosstab.figures import Figures
from hitoku.protections.crosstab.prepared import Prepared
from hitoku.protections.crosstab.terms import Parameters, Side, Terms, other

__all__ = ["NAMES", "ReuseError", "Vault", "Witness"]

NAMES: Final[dict[Side, tuple[str, ...]]] = {
    "a": ("offer-a", "points-a", "cells-a"),
    "b": ("offer-b", "points-b", "tags-a", "sums-b"),
}
"""The messages that each side sends, in order."""
_TELLING: Final[dict[Side, str]] = {"a": "cells-a", "b": "tags-a"}
_LAST: Final = ("offer-b", "sums-b")


class Witness(Protocol):
    """Remembers, outside a run's folder, that the run's secrets were drawn."""

    def drawn(self, run: str) -> bool:
        """Whether they were."""
        ...

    def note_drawn(self, run: str) -> None:
        """They are."""
        ...


class ReuseError(InputError):
    """A mask would have met a second input, or second terms. Start a new run, with a charge of its own."""


class Vault:
    """The folder.

    Args:
        path: where; made where it is not there.
        run: the run's 32 hexadecimal digits.
        side: which side the member is.
        peer: the member on the other side, the only one that is served.
    """

    def __init__(self, path: Path, *, run: str, side: Side, peer: str) -> None:
        self.path, self.run, self.side, self.peer = path, run, side, peer
        self._gone: set[str] = set()
        private_folder(path)
        private_folder(path / "parcels")

    def __repr__(self) -> str:
        return f"Vault({str(self.path)!r}, side={self.side!r})"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else works on this run meanwhile.

        Raises:
            InputError: somebody does.
        """
        import fcntl

        with (self.path / "lock").open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(f"run {self.run} is being worked on by another process") from None
            yield

    # --- what a run is made of ---

    def begin(
        self, parameters: Parameters, prepared: Callable[[], Prepared], witness: Witness | None = None
    ) -> Prepared:
        """The run's input, and its secrets drawn and stored; at a restart, those that are there.

        Args:
            parameters: the run's.
            prepared: makes the input; called only where none is stored yet.
            witness: remembers, outside this folder, that the secrets were drawn.

        Raises:
            ReuseError: the secrets are for another input or other parameters, or were lost.
            InputError: the input is not as described, or damaged; the run has ended.
        """
        if self.ended:
            raise InputError(f"run {self.run} has ended on this node")
        wipe(self.path / ("secrets" + PART))
        shutil.rmtree(self.path / "work", ignore_errors=True)
        (self.path / "work").mkdir(mode=0o700)
        file = self.path / "input.arrow"
        if witness is not None and not (self.path / "secrets").exists() and witness.drawn(self.run):
            raise ReuseError(f"the secrets of run {self.run} are lost, and none are drawn a second time")
        if not file.exists():
            if (self.path / "secrets").exists():
                raise ReuseError(f"the input of run {self.run} is gone, and its mask is for no other")
            fresh = prepared()
            bounds = parameters.sums if self.side == "b" else ()
            fresh.check(parameters.groups(self.side), bounds)
            fresh.write(file)
        rows = Prepared.read(file)
        if not (self.path / "secrets").exists():
            write_whole(self.path / "secrets", Draws.draw(self.side, parameters, rows.digest).dump())
        if witness is not None:
            witness.note_drawn(self.run)
        draws = self._draws()
        if (draws.side, draws.parameters) != (self.side, parameters.hash):
            raise ReuseError(f"the secrets of run {self.run} are for other parameters")
        if rows.digest != draws.input:
            raise ReuseError(f"the secrets of run {self.run} are for another input")
        return rows

    def offered(self) -> tuple[tuple[int, ...], bytes, bytes | None]:
        """The padding of each group, a nonce and b's public key: what an offer tells, or has added in."""
        from hitoku.hazmat import group

        draws = self._draws()
        key = None if draws.elgamal is None else group.load_elgamal_key(draws.elgamal).public
        return draws.padding, draws.seed_for("nonce"), key

    def pin(self, terms: Terms) -> None:
        """Binds the run to these terms, durably, before its mask is used.

        Raises:
            PeerError: the other side's offer is not the one that it made before.
            ReuseError: the terms are not those of before.
        """
        peer = terms.offer(other(self.side)).dump()
        file = self.path / "terms"
        if not file.exists():
            content = {"terms": terms.hash, "peer": peer.decode()}
            write_whole(file, json.dumps(content).encode())
        self.same_offer(peer)
        if self._pinned()["terms"] != terms.hash:
            raise ReuseError(f"the mask of run {self.run} belongs to other terms")

    def same_offer(self, offer: bytes) -> None:
        """Whether the other side still makes the offer that the run is bound to.

        Raises:
            PeerError: it makes another.
        """
        if offer != self.pinned_offer():
            raise PeerError(
                f"{self.peer!r} made another offer for run {self.run} than before: it did not take up its "
                "own run again; end the run on both sides and ask anew"
            )

    def pinned_offer(self) -> bytes:
        """The other side's offer that the run is bound to."""
        return self._pinned()["peer"].encode()

    def _pinned(self) -> dict[str, str]:
        file = self.path / "terms"
        try:
            found = json.loads(file.read_bytes())
            return {"terms": str(found["terms"]), "peer": str(found["peer"])}
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"{file}: the terms of the run are missing or damaged") from None

    def masks(self, rows: Prepared, terms: Terms) -> Draws:
        """Keys, seeds and noise, for this input under these terms alone.

        Raises:
            ReuseError: they are for another input, or other terms.
        """
        if not (self.path / "terms").exists() or self._pinned()["terms"] != terms.hash:
            raise ReuseError(f"the mask of run {self.run} belongs to other terms")
        draws = self._draws()
        if rows.digest != draws.input:
            raise ReuseError(f"the mask of run {self.run} belongs to another input")
        return draws

    def _draws(self) -> Draws:
        path = self.path / "secrets"
        try:
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        except OSError as error:
            raise SecretError(f"{path}: the secrets of the run cannot be read ({error.strerror})") from None
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
                raise SecretError(f"{path}: others can read or change the secrets of the run")
            return Draws.load(file.read(limits.MAX_RUN_SECRETS_BYTES))

    # --- messages ---

    @property
    def work(self) -> Path:
        """For files that a crash may lose."""
        return self.path / "work"

    def file(self, name: str) -> Path:
        """Where a message of this side is, once it is made."""
        return self.path / "parcels" / f"{name}.arrow"

    def made(self, name: str) -> bool:
        """Whether a message of this side is complete."""
        return self.file(name).exists()

    def parcel(self, member: str, run: str, name: str) -> Path | None:
        """The file of a message for `member`; None while it is not made yet.

        Raises:
            Refusal: NO_SUCH_PARCEL, it is not for that member or there is never such a message; RUN_ENDED.
        """
        if member != self.peer or run != self.run or name not in NAMES[self.side]:
            raise Refusal("NO_SUCH_PARCEL", "this node has no such parcel for that member")
        if self.made(name) and not self.ended:
            return self.file(name)
        # b's sums are made after its figures are stored.
        if self.ended or (name not in _LAST and (self.path / "figures").exists()):
            raise Refusal("RUN_ENDED", "the run has ended on this node")
        return None

    def left(self, member: str, run: str, name: str) -> None:
        """Writes down, durably, that a message is about to leave. Called before its first byte does."""
        del member, run
        if name in self._gone:
            return
        marker = self.path / f"left-{name}"
        if not marker.exists():
            write_whole(marker, b"")
        self._gone.add(name)

    def has_left(self, name: str) -> bool:
        """Whether a byte of that message may have left this node."""
        return (self.path / f"left-{name}").exists()

    @property
    def told(self) -> bool:
        """Whether the message that carries the result's noise, tags-a or cells-a, may have left."""
        return self.has_left(_TELLING[self.side])

    # --- the end ---

    def figures(self) -> Figures | None:
        """The result, where the run has come to one."""
        file = self.path / "figures"
        return Figures.load(file.read_bytes()) if file.exists() else None

    def keep(self, figures: Figures) -> None:
        """Stores the result, durably."""
        write_whole(self.path / "figures", figures.dump())

    @property
    def ended(self) -> bool:
        """Whether `erase` was called."""
        return (self.path / "ended").exists()

    def wipe(self) -> None:
        """Takes away keys, noise, input and all messages but what the other side may still need.

        Side a needs no message of b after b's sums; b's last is kept, until `erase`, for a to take. It has
        the noised table in it, which both hold.
        """
        for name in ("secrets", "secrets" + PART):
            wipe(self.path / name)
        (self.path / "input.arrow").unlink(missing_ok=True)
        (self.path / ("input.arrow" + PART)).unlink(missing_ok=True)
        shutil.rmtree(self.path / "work", ignore_errors=True)
        for file in (self.path / "parcels").iterdir():
            if file.stem not in _LAST:
                file.unlink()
        sync_folder(self.path / "parcels")
        sync_folder(self.path)

    def erase(self) -> None:
        """Ends the run here, whatever it came to: only figures and the marks of what left stay."""
        with whole(self.path / "ended"):
            pass
        self.wipe()
        shutil.rmtree(self.path / "parcels", ignore_errors=True)
        (self.path / "terms").unlink(missing_ok=True)
        sync_folder(self.path)
