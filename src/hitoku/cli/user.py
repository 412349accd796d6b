# SPDX-License-Identifier: Apache-2.0
"""`hitoku user`: who may use the console of a member's node. The first user is made here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from hitoku.cli.show import one_line
from hitoku.errors import InputError

if TYPE_CHECKING:
    from hitoku.console.context import Context
    from hitoku.console.store import Account
    from hitoku.console.users import May

__all__ = ["app"]

app = App(name="user", help="Who may use the console of a member's node.", help_format="plaintext")

Json = Annotated[bool, Parameter(name="--json", negative="")]


def _context(directory: Path) -> Context:
    try:
        from hitoku.console.context import Context
        from hitoku.console.passwords import hashed  # noqa: F401 (is the extra there?)
    except ImportError as error:
        raise InputError(
            f"the console needs `pip install hitoku[console]` ({error.name} is missing)"
        ) from None
    from hitoku.node.view import MemberView
    from hitoku.room.directory import MemberDirectory

    return Context(MemberView(MemberDirectory.open(directory)))


def _found(context: Context, name: str) -> Account:
    from hitoku.console.store import by_name

    account = by_name(context, name)
    if account is None:
        raise InputError(f"there is no user {name!r}")
    return account


def _abilities(names: list[str] | None) -> frozenset[May]:
    from hitoku.console.users import May

    try:
        return frozenset(May(name) for name in names or [])
    except ValueError:
        raise InputError("--ability is one of " + ", ".join(May)) from None


def _password(name: str, make: bool) -> tuple[str, str | None]:
    """The hash of a password, and the password itself where it was made here and is to be shown once."""
    from hitoku.console.passwords import checked, generated, hashed

    if make:
        made = generated()
        return hashed(made), made
    if sys.stdin.isatty():
        from getpass import getpass

        given = getpass(f"Password of {one_line(name)}: ", stream=sys.stderr)
        if given != getpass("Again: ", stream=sys.stderr):
            raise InputError("the two passwords differ")
    else:
        given = sys.stdin.readline(2_000).rstrip("\r\n")
    return hashed(checked(given, name)), None


def _say(as_json: bool, said: dict[str, Any], words: str) -> int:
    print(json.dumps(said) if as_json else words)  # noqa: T201 (the result)
    return 0


@app.command
def add(
    directory: Path,
    name: str,
    *,
    ability: list[str],
    room: list[str] | None = None,
    language: str = "en",
    make_password: Annotated[bool, Parameter(negative="")] = False,
    json_: Json = False,
) -> int:
    """Make a user of the console. The password is read from the terminal, or from the first line of stdin.

    Parameters
    ----------
    directory
        The member's own directory.
    name
        What the user signs in with.
    ability
        ask, tables, sign, audit or administer. May be repeated.
    room
        The id of a room that the user may see. May be repeated; all rooms where it is left out.
    language
        en or ja.
    make_password
        Make a password and show it, once.
    json_
        Print one JSON object.
    """
    context = _context(directory)
    from hitoku.console import store

    abilities = _abilities(ability)
    store.checked_name(name)
    if store.by_name(context, name) is not None:
        raise InputError("there is a user of this name already")
    stored, made = _password(name, make_password)
    rooms = None if room is None else frozenset(room)
    account = store.create(context, name, abilities, password=stored, rooms=rooms, language=language)
    store.note(context, None, "user made", name=name, abilities=sorted(abilities), by="command line")
    said = {"user": account.id, "name": name, "abilities": sorted(abilities)}
    words = f"made user {one_line(name)}, who may " + ", ".join(sorted(abilities))
    if made is not None:
        said["password"] = made
        words += f"\npassword (shown once): {made}"
    return _say(json_, said, words)


@app.command(name="list")
def list_(directory: Path, *, json_: Json = False) -> int:
    """Show the users of the console.

    Parameters
    ----------
    directory
        The member's own directory.
    json_
        Print one JSON object.
    """
    context = _context(directory)
    from hitoku.console.store import all_accounts

    users = [
        {
            "user": account.id,
            "name": account.name,
            "abilities": sorted(account.abilities),
            "rooms": None if account.rooms is None else sorted(account.rooms),
            "onetime": account.onetime,
            "provider": account.issuer,
            "disabled": account.disabled,
        }
        for account in all_accounts(context)
    ]
    lines = [
        f"{one_line(str(user['name'])):<24} {','.join(user['abilities'] or []) or '-':<36}"  # type: ignore[arg-type]
        f" {'disabled' if user['disabled'] else 'active'}"
        for user in users
    ]
    return _say(json_, {"users": users}, "\n".join(lines) or "there is no user yet: `hitoku user add`")


@app.command
def password(
    directory: Path,
    name: str,
    *,
    make_password: Annotated[bool, Parameter(negative="")] = False,
    keep_onetime: Annotated[bool, Parameter(negative="")] = False,
    json_: Json = False,
) -> int:
    """Give a user a new password; its sessions and tokens end, and its one-time codes are switched off.

    Parameters
    ----------
    directory
        The member's own directory.
    name
        The user's.
    make_password
        Make a password and show it, once.
    keep_onetime
        Keep the one-time codes as they are.
    json_
        Print one JSON object.
    """
    context = _context(directory)
    from hitoku.console import onetime, store

    account = _found(context, name)
    if account.issuer is not None:
        raise InputError("this user signs in at the provider alone")
    stored, made = _password(name, make_password)
    if not keep_onetime:
        onetime.drop(context, account.id)
    store.change(context, account.id, end=True, password=stored)
    store.note(context, None, "user reset", name=name, by="command line")
    said = {"user": account.id, "name": name}
    words = f"{one_line(name)} has a new password"
    if made is not None:
        said["password"] = made
        words += f"\npassword (shown once): {made}"
    return _say(json_, said, words)


@app.command
def disable(
    directory: Path,
    name: str,
    *,
    enable: Annotated[bool, Parameter(negative="")] = False,
    json_: Json = False,
) -> int:
    """Let a user sign in no more; its sessions and tokens end.

    Parameters
    ----------
    directory
        The member's own directory.
    name
        The user's.
    enable
        Let it sign in again.
    json_
        Print one JSON object.
    """
    context = _context(directory)
    from hitoku.console import store

    account = _found(context, name)
    store.change(context, account.id, end=not enable, disabled=not enable)
    store.note(context, None, "user changed", name=name, disabled=not enable, by="command line")
    words = f"{one_line(name)} may sign in" + (" again" if enable else " no more")
    return _say(json_, {"user": account.id, "name": name, "disabled": not enable}, words)


@app.command
def token(
    directory: Path,
    name: str,
    *,
    title: str = "command line",
    ability: list[str] | None = None,
    days: int = 90,
    json_: Json = False,
) -> int:
    """Make a bearer token of a user, for a program; it is shown once.

    Parameters
    ----------
    directory
        The member's own directory.
    name
        The user's.
    title
        What the token is for.
    ability
        What it may do, of what the user may. May be repeated; all of it where it is left out.
    days
        After so many it ends.
    json_
        Print one JSON object.
    """
    context = _context(directory)
    from hitoku.console import sessions, store

    account = _found(context, name)
    if account.disabled:
        raise InputError("this user may not sign in")
    abilities = account.abilities if ability is None else _abilities(ability)
    made = sessions.make_token(context, account, title, abilities, days)
    store.note(context, account, "token made", abilities=sorted(abilities), days=days, by="command line")
    return _say(json_, {"user": account.id, "name": name, "token": made}, made)
