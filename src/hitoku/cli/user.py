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

Directory = Annotated[Path, Parameter(help="The member's own directory.")]
Name = Annotated[str, Parameter(help="The user's.")]
Made = Annotated[bool, Parameter(negative="", help="Make a password and show it, once.")]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object.")]


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


def _say(as_json: bool, said: dict[str, Any], words: str, made: str | None = None) -> int:
    """Print the result, with a password that was made here."""
    if made is not None:
        said["password"] = made
        words += f"\npassword (shown once): {made}"
    print(json.dumps(said) if as_json else words)  # noqa: T201 (the result)
    return 0


def _note(context: Context, what: str, of: Account | None = None, **detail: Any) -> None:
    from hitoku.console import store

    store.note(context, of, what, by="command line", **detail)


@app.command
def add(
    directory: Directory,
    name: str,
    *,
    ability: Annotated[list[str], Parameter(help="ask, tables, sign, audit or administer. May be repeated.")],
    room: list[str] | None = None,
    language: str = "en",
    make_password: Made = False,
    json_: Json = False,
) -> int:
    """Make a user of the console. The password is read from the terminal, or from the first line of stdin.

    Parameters
    ----------
    name
        What the user signs in with.
    room
        The id of a room that the user may see. May be repeated; all rooms where it is left out.
    language
        en or ja.
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
    _note(context, "user made", name=name, abilities=sorted(abilities))
    said = {"user": account.id, "name": name, "abilities": sorted(abilities)}
    words = f"made user {one_line(name)}, who may " + ", ".join(sorted(abilities))
    return _say(json_, said, words, made)


@app.command(name="list")
def list_(directory: Directory, *, json_: Json = False) -> int:
    """Show the users of the console."""
    context = _context(directory)
    from hitoku.console.store import all_accounts

    accounts = all_accounts(context)
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
        for account in accounts
    ]
    lines = [
        f"{one_line(account.name):<24} {','.join(sorted(account.abilities)) or '-':<36}"
        f" {'disabled' if account.disabled else 'active'}"
        for account in accounts
    ]
    return _say(json_, {"users": users}, "\n".join(lines) or "there is no user yet: `hitoku user add`")


@app.command
def password(
    directory: Directory,
    name: Name,
    *,
    make_password: Made = False,
    keep_onetime: Annotated[
        bool, Parameter(negative="", help="Keep the one-time codes as they are.")
    ] = False,
    json_: Json = False,
) -> int:
    """Give a user a new password; its sessions and tokens end, and its one-time codes are switched off."""
    context = _context(directory)
    from hitoku.console import onetime, store

    account = _found(context, name)
    if account.issuer is not None:
        raise InputError("this user signs in at the provider alone")
    stored, made = _password(name, make_password)
    if not keep_onetime:
        onetime.drop(context, account.id)
    store.change(context, account.id, end=True, password=stored)
    _note(context, "user reset", name=name)
    words = f"{one_line(name)} has a new password; its sessions and tokens have ended"
    return _say(json_, {"user": account.id, "name": name}, words, made)


@app.command
def disable(
    directory: Directory,
    name: Name,
    *,
    enable: Annotated[bool, Parameter(negative="", help="Let it sign in again.")] = False,
    json_: Json = False,
) -> int:
    """Let a user sign in no more; its sessions and tokens end."""
    context = _context(directory)
    from hitoku.console import store

    account = _found(context, name)
    store.change(context, account.id, end=not enable, disabled=not enable)
    _note(context, "user changed", name=name, disabled=not enable)
    words = f"{one_line(name)} may sign in" + (" again" if enable else " no more")
    return _say(json_, {"user": account.id, "name": name, "disabled": not enable}, words)


@app.command
def token(
    directory: Directory,
    name: Name,
    *,
    title: str = "command line",
    ability: list[str] | None = None,
    days: int = 90,
    json_: Json = False,
) -> int:
    """Make a bearer token of a user, for a program; it is shown once.

    The user's password is not asked for: who may read this directory may give it another one.

    Parameters
    ----------
    title
        What the token is for.
    ability
        What it may do, of what the user may. May be repeated; all of it where it is left out.
    days
        After so many it ends.
    """
    context = _context(directory)
    from hitoku.console import sessions

    account = _found(context, name)
    if account.disabled:
        raise InputError("this user may not sign in")
    abilities = account.abilities if ability is None else _abilities(ability)
    made = sessions.make_token(context, account, title, abilities, days)
    _note(context, "token made", account, abilities=sorted(abilities), days=days)
    return _say(json_, {"user": account.id, "name": name, "token": made}, made)
