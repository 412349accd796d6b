# SPDX-License-Identifier: Apache-2.0
"""`hitoku demo console`: two companies' nodes with their consoles, data in them, and a room that both signed.

What the tutorial makes page by page is there already, so that the first answer in a browser is some clicks
away. Both nodes end with the command.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from hitoku.demo import stage
from hitoku.demo.crosstab import nodes, rooms
from hitoku.demo.people.write import write_people
from hitoku.errors import InputError, PeerError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["QUESTION", "Desk", "prepared", "run", "serving"]

QUESTION: Final = """\
SELECT t.airport, COUNT(DISTINCT t.phone) AS travellers, AVG(t.stay_nights) AS mean_stay
FROM travellers AS t JOIN subscribers AS s ON t.phone = s.phone
GROUP BY t.airport"""
_TEMPLATE: Final = "travellers_by_airport"
_SERVE: Final = ("hitoku.demo.shares.serving",)  # ends with this process, however that ends
_START_SECONDS: Final = 180
_LOOK_SECONDS: Final = 0.5
# A browser keeps cookies by host, whatever the port: under two names one window holds both consoles.
_DESKS: Final = (
    ("airline", "travellers", "127.0.0.1", 8480),
    ("operator", "subscribers", "localhost", 8490),
)
_USER: Final = "analyst"


@dataclass(frozen=True, slots=True)
class Desk:
    """One company's console.

    Attributes:
        member: the company.
        listen: HOST:PORT.
        url: what to open.
        user: who signs in.
        password: of that user; nobody else has it.
    """

    member: str
    listen: str
    url: str
    user: str
    password: str


def run(
    directory: Path,
    console: Console,
    people: int = 10_000,
    told: Callable[[dict[str, Any]], None] | None = None,
) -> None:
    """Serve both nodes until Ctrl-C or SIGTERM.

    Args:
        directory: where everything goes.
        console: hears what to do.
        people: made-up people a table.
        told: hears the same as data, when both consoles answer.

    Raises:
        InputError: the directory is not the demo's, or the console is not installed.
        PeerError: a node does not start, or ends.
    """
    began = time.monotonic()
    desks = prepared(directory, people)
    with _until_told() as ended, serving(directory, desks) as both:
        seconds = time.monotonic() - began
        _tell(directory, desks, people, seconds, console)
        if told is not None:
            told({"question": QUESTION, "consoles": [_plain(desk) for desk in desks]})
        while not ended():
            time.sleep(_LOOK_SECONDS)
            for name, process in both.processes.items():
                if process.poll() is not None:
                    raise PeerError(f"the node of {name!r} has ended: see {both.log(name)}")
    console.print("Both nodes have ended.")


def prepared(directory: Path, people: int) -> tuple[Desk, ...]:
    """Make tables, members, the room that both signed, both nodes' settings, and a user at each.

    Raises:
        InputError: the directory is not the demo's, or the console is not installed.
    """
    try:
        from hitoku.console import passwords  # noqa: F401 (is the extra there?)
    except ImportError as error:
        raise InputError(
            f"the console needs `make build EXTRAS=console`, or `pip install 'hitoku[console]'` "
            f"({error.name} is missing)"
        ) from None
    stage.prepare(directory)
    tables = {
        member: [{"name": table, "source": f"data/{table}.parquet", "person": {"phone": ["phone"]}}]
        for member, table, *_ in _DESKS
    }
    ports = [_port(wanted) for *_, wanted in _DESKS]
    more = {
        member: {"console": {"listen": f"127.0.0.1:{port}", "url": f"http://{host}:{port}"}}
        for (member, _, host, _), port in zip(_DESKS, ports, strict=True)
    }
    nodes.make(directory, _agreement, tables, each=more, inside=True)
    write_people(people, 1, directory / "data")
    desks = []
    for member, table, *_ in _DESKS:
        (directory / member / "data").mkdir(mode=0o700)
        file = f"{table}.parquet"
        (directory / "data" / file).rename(directory / member / "data" / file)
        settings = more[member]["console"]
        password = _user(directory / member)
        desks.append(Desk(member, settings["listen"], settings["url"], _USER, password))
    (directory / "data").rmdir()
    return tuple(desks)


@contextlib.contextmanager
def serving(directory: Path, desks: tuple[Desk, ...]) -> Iterator[nodes.Nodes]:
    """Both nodes, with consoles that answer, until the block ends.

    Raises:
        PeerError: one does not start.
    """
    with nodes.running(directory, [desk.member for desk in desks], _SERVE) as both:
        until = time.monotonic() + _START_SECONDS
        for desk in desks:
            while not _listens(desk.listen):
                if both.processes[desk.member].poll() is not None or time.monotonic() > until:
                    raise PeerError(
                        f"the console of {desk.member!r} does not start: see {both.log(desk.member)}"
                    )
                time.sleep(0.05)
        yield both


def _agreement(keys: dict[str, str]) -> dict[str, Any]:
    """The room of the demo of two nodes, with a question that is one click away."""
    return {**rooms.travel(keys), "templates": [{"name": _TEMPLATE, "sql": QUESTION}]}


def _user(directory: Path) -> str:
    """Make the user, with all abilities. Returns its password."""
    from hitoku.console import passwords, store
    from hitoku.console.context import Context
    from hitoku.console.users import May
    from hitoku.node.view import MemberView
    from hitoku.room.directory import MemberDirectory

    view = MemberView(MemberDirectory.open(directory))
    try:
        password = passwords.generated()
        store.create(Context(view), _USER, frozenset(May), password=passwords.hashed(password))
    finally:
        view.close()
    return password


def _tell(directory: Path, desks: tuple[Desk, ...], people: int, seconds: float, console: Console) -> None:
    lines = [
        f"An airline's travellers and a mobile operator's subscribers: {people:,} made-up people each. Each",
        f"company has a node and a console; both signed one room. Ready after {seconds:.0f} s.",
        "",
        *(f"{d.member:<9} {d.url}  sign in as {d.user}, password {d.password}" for d in desks),
        "",
        f"In either: Rooms, {rooms.ROOM_NAME!r}, Templates, 'Fill in and check', 'Run it'.",
        "Some seconds later there is the answer: counts with their noise, a plot, who learned what. On the",
        "page Ask you write questions of your own.",
        "",
        f"Everything is in {directory.resolve()}; delete it when you like. Ctrl-C ends both nodes.",
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _plain(desk: Desk) -> dict[str, str]:
    return {"member": desk.member, "url": desk.url, "user": desk.user, "password": desk.password}


def _port(wanted: int) -> int:
    """The port, or another one where somebody has it."""
    for port in (wanted, 0):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)) as found:
            return int(found.getsockname()[1])
    raise InputError("there is no free port on 127.0.0.1")


def _listens(listen: str) -> bool:
    host, port = listen.rsplit(":", 1)
    with contextlib.suppress(OSError):
        socket.create_connection((host, int(port)), timeout=1).close()
        return True
    return False


@contextlib.contextmanager
def _until_told() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM came; inside, neither ends the process."""
    came = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
