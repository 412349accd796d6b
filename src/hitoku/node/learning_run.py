# SPDX-License-Identifier: Apache-2.0
"""A learning run as a member's process: the server's, a bank's, and all of them in one process.

Before anything else the plan is checked against the room as this member knows it, and the run is written into
the member's ledger, with its charge. Only then rows are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hitoku.errors import InputError, PeerError, Refusal
from hitoku.learning.folders import RunFolder, new_run
from hitoku.learning.invitation import Invitation
from hitoku.learning.signing import SignedPlan, publics_of
from hitoku.node.learning import Learnings
from hitoku.ports import Clock, Progress, SystemClock

if TYPE_CHECKING:
    from hitoku.learning.bank import Bank
    from hitoku.learning.base import Rows
    from hitoku.room.agreement import Room
    from hitoku.room.directory import MemberDirectory, Workspace

__all__ = ["announced", "bank_of", "join_run", "serve_run", "together"]

INVITATION: Final = "server.json"
_FLOWER: Final = "flower"


def serve_run(
    directory: MemberDirectory,
    shared: Room,
    signed: SignedPlan,
    out: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    announce: str | None = None,
    wait: float = 600.0,
    progress: Progress,
    up: Callable[[Path, Invitation], None] = lambda _path, _invitation: None,
    clock: Clock | None = None,
) -> dict[str, Any]:
    """Be the server of a run over Flower, from its start or from where it stood. Returns the report.

    Args:
        directory: the server's.
        shared: the room's file.
        signed: the plan.
        out: the run's folder; one that is there goes on.
        host: the address to listen on.
        port: 0 takes a free one.
        announce: what the members are told to connect to, ``host`` or ``host:port``; None: where it listens,
            or this machine's name if that is everywhere.
        wait: so many seconds for all members; then those that are there begin, if they are enough.
        progress: hears of the phases.
        up: called when members can connect, with the file to hand to them.
        clock: dates the ledger's entries.

    Raises:
        RoomError: room or plan are not in force, or this member is not the plan's server.
        TooFewMembers: too few members are there, or left.
        InputError: Flower is missing, the port is taken, what is announced is no address, or the folder is
            of another run.
    """
    from hitoku.learning.base import TooFewMembers
    from hitoku.learning.flower.server import serve
    from hitoku.learning.server import Server

    if announce is not None:
        announced(announce, 1)  # before anything is begun
    folder, learnings = _begun(directory, shared, signed, out, None, clock)
    plan, keys = signed.plan, directory.keys()
    publics = publics_of(folder.room.agreement)
    banks = {name: publics[name] for name in plan.members}
    context = Invitation(signed.hash, folder.run, "-:0", "").context
    flower = out / _FLOWER
    flower.mkdir(exist_ok=True, mode=0o700)
    with serve(flower, banks, context, host=host, port=port) as served:
        address = served.address
        if announce is not None:
            address = announced(announce, int(address.rpartition(":")[2]))
        invitation = Invitation(signed.hash, folder.run, address, served.certificate.decode())
        invitation.save(out / INVITATION, keys)
        up(out / INVITATION, invitation)
        progress.phase("wait for members")
        there = served.fleet.wait(len(plan.members), wait)
        if len(there) < plan.threshold:
            raise TooFewMembers(
                f"{len(there)} of {len(plan.members)} members have come, the plan needs {plan.threshold}: "
                "start again when more are there"
            )
        with Server(folder, served.fleet, keys) as server:
            report = server.run(progress)
    learnings.end(signed, folder.run, report["model"], {"steps": report["steps"]})
    return report


def announced(address: str, port: int) -> str:
    """The address that members are told: ``host:port`` as it is, or a host and the port it listens on.

    Raises:
        InputError: it is neither.
    """
    from hitoku.learning.flower.clients import split

    bracketed = address.startswith("[") and address.endswith("]")
    if ":" not in address or bracketed:
        address = f"{address}:{port}"
    elif address.count(":") > 1 and not address.startswith("["):
        address = f"[{address}]:{port}"
    split(address)
    return address


def join_run(
    directory: MemberDirectory,
    shared: Room,
    signed: SignedPlan,
    invitation: Path,
    data: str,
    *,
    state: Path | None = None,
    patience: float | None = 600.0,
    connected: Callable[[], None] | None = None,
    clock: Clock | None = None,
) -> dict[str, Any] | None:
    """Be a bank in a run over Flower until it ends. Returns what the server said at the end, if it did.

    Args:
        directory: the bank's.
        shared: the room's file.
        signed: the plan.
        invitation: the file that the server wrote.
        data: the rows, by URI; relative paths are relative to the bank's directory.
        state: the bank's folder of the run; None: ``learning/<run>`` in its directory.
        patience: so many seconds without a server end it.
        connected: called each time that the server has let this bank in.
        clock: dates the ledger's entries.

    Raises:
        RoomError: room or plan are not in force, or this member brings no rows.
        Refusal: the plan was run before, or its charge is more than the account has left, or this bank's
            folder of the run is gone.
        PeerError: the invitation is of another plan or server, or no server was found.
        InputError: the rows are not those that the plan describes.
    """
    from hitoku.learning.flower.member import serve_member

    agreement = directory.room(shared).agreement
    signed.verify(agreement)
    where = Invitation.load(invitation, signed, publics_of(agreement)[signed.plan.server])
    place = directory.path / "learning" / where.run if state is None else state
    folder, learnings = _begun(directory, shared, signed, place, where.run, clock)
    with bank_of(directory, folder, lambda: read_rows(directory, signed, data)) as bank:
        flower = place / _FLOWER
        flower.mkdir(exist_ok=True, mode=0o700)
        serve_member(
            bank.handle,
            folder=flower,
            address=where.address,
            certificate=where.certificate.encode(),
            member=directory.name,
            sign=directory.keys().sign,
            context=where.context,
            patience=patience,
            connected=connected,
        )
        ended = bank.ended
    if ended is not None:
        learnings.end(signed, folder.run, ended["model"], {"steps": ended["steps"]})
    return ended


@contextmanager
def bank_of(
    directory: MemberDirectory, folder: RunFolder, rows: Callable[[], Rows], threads: int | None = None
) -> Iterator[Bank]:
    """A bank's side of a run that was begun; its rows are read now."""
    from hitoku.learning.bank import Bank, make_tasks

    plan = folder.signed.plan
    tasks = make_tasks(plan, rows(), folder.path)
    with Bank(
        plan,
        folder.run,
        directory.name,
        directory.keys(),
        publics_of(folder.room.agreement),
        tasks,
        folder.path,
        threads,
    ) as bank:
        yield bank


def together(
    workspace: Workspace,
    signed: SignedPlan,
    out: Path,
    data: Mapping[str, str],
    progress: Progress,
    clock: Clock | None = None,
) -> dict[str, Any]:
    """A run of members whose directories are all on this machine, in one process, by the same protocol.

    Raises:
        InputError: not all members' data are named.
        RoomError: a member is not on this machine, or room or plan are not in force.
    """
    from hitoku.learning.local import LocalFleet
    from hitoku.learning.server import Server

    plan = signed.plan
    if set(data) != set(plan.members):
        raise InputError(f"--data NAME=URI for each member of the plan: {', '.join(plan.members)}")
    server = workspace.member(plan.server)
    folder, learnings = _begun(server, workspace.room, signed, out, None, clock)
    with ExitStack() as stack:
        banks: dict[str, Bank] = {}
        ends: list[tuple[Learnings, Bank]] = []
        for name in plan.members:
            member = workspace.member(name)
            place = member.path / "learning" / folder.run
            own, theirs = _begun(member, workspace.room, signed, place, folder.run, clock)
            rows = _reader(member, signed, data[name])
            banks[name] = stack.enter_context(bank_of(member, own, rows, threads=1))
            ends.append((theirs, banks[name]))
        fleet = stack.enter_context(LocalFleet({name: bank.handle for name, bank in banks.items()}))
        with Server(folder, fleet, server.keys()) as running:
            report = running.run(progress)
        for theirs, bank in ends:
            if bank.ended is not None:
                theirs.end(signed, folder.run, bank.ended["model"], {"steps": bank.ended["steps"]})
    learnings.end(signed, folder.run, report["model"], {"steps": report["steps"]})
    return report


def read_rows(directory: MemberDirectory, signed: SignedPlan, data: str) -> Rows:
    """A member's rows, as the plan describes them."""
    from hitoku.learning.data.rows import load_rows

    return load_rows(signed.plan.data, data, directory.path, key=bytes.fromhex(signed.plan.salt))


def _reader(directory: MemberDirectory, signed: SignedPlan, data: str) -> Callable[[], Rows]:
    return lambda: read_rows(directory, signed, data)


def _begun(
    directory: MemberDirectory,
    shared: Room,
    signed: SignedPlan,
    place: Path,
    run: str | None,
    clock: Clock | None,
) -> tuple[RunFolder, Learnings]:
    """The run's folder, and its entry in the member's ledger, with the charge."""
    room = directory.room(shared)
    signed.verify(room.agreement)
    if run is None and directory.name != signed.plan.server:
        raise PeerError(f"{directory.name!r} is not the server of plan {signed.plan.name!r}")
    time = SystemClock() if clock is None else clock
    learnings = Learnings(directory.records(str(room.agreement.id), time), time)
    if run is not None and not RunFolder.there(place) and learnings.begun(run):
        # What was contributed is remembered in the folder alone: without it the same sums open again.
        raise Refusal(
            "LEARNING_STATE",
            f"{directory.name!r} has taken part in this run before, and {place} has nothing of it",
            owner=directory.name,
            rule="plan",
            remedy="name the folder that the run was joined with; if it is lost, make the plan again",
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    folder = RunFolder.create(place, new_run() if run is None else run, directory.name, signed, room)
    if run is not None and folder.run != run:
        raise InputError(f"{place}: belongs to another run; name another folder")
    learnings.begin(signed, folder.run, room.agreement)
    return folder, learnings
