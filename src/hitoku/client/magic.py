# SPDX-License-Identifier: Apache-2.0
"""``%%hitoku``: a question as a cell of a notebook, with its answer, or its refusal, below it.

::

    %load_ext hitoku
    room = hitoku.connect("https://console.example:8480").room("Flights and planes")

    %%hitoku room --into planes
    SELECT carrier, COUNT(DISTINCT tailnum) AS planes FROM flights GROUP BY carrier

The first word is a variable that holds a room (of `hitoku.connect` or `hitoku.open_room`) or a connection, or
a console's address; without it, the room of the cell before is asked.
"""

from __future__ import annotations

import argparse
import html
import os
import shlex
from typing import Any, Final, NoReturn

import IPython.display
from IPython.core.magic import Magics, cell_magic, magics_class

from hitoku.cli.show import one_line, phase_words, refusal
from hitoku.errors import HitokuError, InputError, Refusal

__all__ = ["HitokuMagics", "load_ipython_extension", "unload_ipython_extension"]

_EXAMPLE: Final = "%%hitoku ROOM [--into NAME] [--to MEMBER ...] [--explain | --preview]"


class _Options(argparse.ArgumentParser):
    """Says what is wrong by an InputError, and never ends the process."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        raise InputError(f"{message}; {_EXAMPLE}")


def _options() -> _Options:
    made = _Options("%%hitoku", add_help=False, usage=_EXAMPLE)
    made.add_argument("where", nargs="?", help="a variable with a room or connection, or an address")
    made.add_argument("--room", help="the room's name or id, where `where` is a connection or an address")
    made.add_argument("--into", metavar="NAME", help="the variable that keeps the answer")
    made.add_argument("--to", action="append", metavar="MEMBER", help="who receives the answer")
    made.add_argument("--epsilon", help="what the question may cost of every account")
    made.add_argument("--users-noise", type=int, help="how many units' contributions the noise hides")
    made.add_argument("--explain", action="store_true", help="only say what would happen")
    made.add_argument("--preview", action="store_true", help="only say what it would cost")
    return made


class Shown(Exception):
    """An error of hitoku in a notebook: ends the cell, and is shown without the program's own lines."""

    def __init__(self, error: HitokuError, sql: str) -> None:
        super().__init__(str(error))
        self.error = error
        self._sql = sql

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a traceback."""
        if isinstance(self.error, Refusal):
            return refusal(self.error, self._sql).rstrip("\n").split("\n")
        return [f"{type(self.error).__name__}: {one_line(str(self.error))}"]


class _CellProgress:
    """A Progress as one line below the cell, which goes when the answer comes."""

    def __init__(self) -> None:
        self._display: Any = IPython.display.display  # IPython's has no types
        self._handle: Any = None
        self._name, self._total, self._done = "", 0, 0

    def phase(self, name: str, total: int | None = None) -> None:
        """Show the phase."""
        self._name, self._total, self._done = phase_words(name), total or 0, 0
        self._show()

    def advance(self, amount: int = 1) -> None:
        """Show how much of it is done."""
        self._done += amount
        if self._total:
            self._show()

    def end(self) -> None:
        """Take the line away."""
        if self._handle is not None:
            self._handle.update(_Line(""))

    def _show(self) -> None:
        share = f" {self._done}/{self._total}" if self._total else ""
        line = _Line(f"{one_line(self._name)}{share} …")
        if self._handle is None:
            self._handle = self._display(line, display_id=True)
        else:
            self._handle.update(line)


class _Line:
    """One line of text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return f"<small>{html.escape(self._text)}</small>" if self._text else ""


class Told:
    """An explanation or preview, shown as its facts."""

    def __init__(self, title: str, facts: list[tuple[str, str]], value: Any) -> None:
        self.value = value
        self._title, self._facts = title, facts

    def __repr__(self) -> str:
        lines = [f"  {one_line(name)}: {one_line(text)}" for name, text in self._facts]
        return "\n".join([self._title, *lines])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{html.escape(one_line(name))}</th><td>{html.escape(one_line(text))}</td></tr>"
            for name, text in self._facts
        )
        return f"<p>{html.escape(self._title)}</p><table>{rows}</table>"


@magics_class
class HitokuMagics(Magics):
    """The magic; remembers the room of the last cell."""

    _last: Any = None
    _own: Any = None

    def close(self) -> None:
        """End the connection that an address made; those that a variable holds are the notebook's."""
        if self._own is not None:
            self._own.close()
        self._own = self._last = None

    @property
    def _names(self) -> dict[str, Any]:
        """The notebook's variables."""
        shell: Any = self.shell
        found: dict[str, Any] = shell.user_ns
        return found

    @cell_magic
    def hitoku(self, line: str, cell: str) -> Any:
        """Ask the cell's SQL.

        Raises:
            Shown: it is refused, or fails; without a traceback.
        """
        try:
            return self._asked(line, cell)
        except HitokuError as error:
            raise Shown(error, cell) from None

    def _asked(self, line: str, cell: str) -> Any:
        try:
            given = _options().parse_args(shlex.split(line))
        except ValueError:
            raise InputError(f"the line has a quote that does not end; {_EXAMPLE}") from None
        if given.into is not None and not given.into.isidentifier():
            raise InputError("--into names a variable")
        room = self._room(given.where, given.room)
        if given.explain:
            return self._keep(given.into, _explained(room.explain(cell), cell))
        noise = {"epsilon": given.epsilon, "users_noise": given.users_noise}
        if given.preview:
            return self._keep(given.into, _previewed(room.preview(cell, receivers=given.to, **noise)))
        progress = _CellProgress()
        to = room.receivers if given.to is None else tuple(given.to)
        ask = room.ask if room.me in to else room.send
        try:
            found = ask(cell, receivers=to, progress=progress, **noise)
        finally:
            progress.end()
        return self._keep(given.into, found)

    def _keep(self, name: str | None, value: Any) -> Any:
        if name is not None:
            kept = value.value if isinstance(value, Told) else value
            self._names[name] = kept
        return value

    def _room(self, where: str | None, name: str | None) -> Any:
        from hitoku.client.connection import Connection, connect

        found: Any = self._last
        address = where or os.environ.get("HITOKU_URL", "") if where or found is None else ""
        if address.startswith(("http://", "https://")):
            made = connect(address)
            self.close()
            found = self._own = made
        elif where is not None:
            found = self._names.get(where)
            if found is None:
                raise InputError(f"there is no variable {one_line(where)!r}; {_EXAMPLE}")
        if isinstance(found, Connection):
            found = found.room(name)
        if not all(callable(getattr(found, method, None)) for method in ("ask", "send", "explain")):
            raise InputError(f"say which room; {_EXAMPLE}")
        self._last = found
        return found


def _explained(found: Any, sql: str) -> Told:
    data = found.to_dict()
    if found.refusal is not None:
        raise Shown(found.refusal, sql)
    facts = [
        ("tables", ", ".join(data["question"]["tables"])),
        ("asked of", ", ".join(data["question"]["owners"])),
    ]
    for choice in data["protections"]:
        if not choice["supported"]:
            facts.append((choice["protection"], str(choice["reason"])))
            continue
        seconds = choice["seconds"]
        facts.append((choice["protection"], "can" if seconds is None else f"about {seconds:.1f} s"))
        facts += [(f"{i['member']} learns", i["words"]) for i in choice["learned"] or []]
    return Told("The rules allow this question.", facts, found)


def _previewed(found: Any) -> Told:
    facts = []
    for owner, account in found.accounts:
        left = "" if account.questions is None else f"; {account.questions} more like it fit"
        text = f"costs epsilon {account.cost}; {account.spent} of {account.epsilon} is spent{left}"
        facts.append((f"{owner}'s account for {account.unit}", text))
    facts += [
        (f"{owner}'s table {w.table}", f"{w.left} questions left ({w.window})") for owner, w in found.windows
    ]
    if found.answered is not None:
        return Told("It was answered before: the same answer costs nothing.", facts, found)
    return Told("It would cost this." if facts else "It costs nothing.", facts, found)


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext hitoku.client.magic``."""
    before = shell.magics_manager.registry.get(HitokuMagics.__name__)
    if isinstance(before, HitokuMagics):
        before.close()
    shell.register_magics(HitokuMagics)


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext``: ends what is open."""
    before = shell.magics_manager.registry.get(HitokuMagics.__name__)
    if isinstance(before, HitokuMagics):
        before.close()
