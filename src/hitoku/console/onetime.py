# SPDX-License-Identifier: Apache-2.0
"""One-time codes (TOTP, RFC 6238) as second factor, and recovery codes for when the phone is gone.

A code works once: the time step of the last one is kept, and no code of that step or an earlier one is taken
(RFC 6238, section 5.2). Secrets lie in the database sealed under ``console-sealing.key``, a file of the
member's directory: who reads the database, or a dump of it, has none. A recovery code has 80 random bits, so
a fast hash of it is enough.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pyotp
import segno
import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hitoku import limits
from hitoku.console.context import Context
from hitoku.console.store import now
from hitoku.errors import RoomError, SecretError
from hitoku.node.settings_console import SEALING_KEY
from hitoku.room.consoletables import users

__all__ = ["Setup", "begin", "console_key", "drop", "finish", "passes", "pending", "qr", "recovery"]

KEY_FILE: Final = SEALING_KEY
_KEY_FILE_BEFORE: Final = "console.key"
"""Its name before, which people give to the key of their console's certificate as well."""
_KEY_BYTES: Final = 32
_STEP: Final = 30
_CODE: Final = re.compile(r"[0-9]{6}")
_ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def console_key(context: Context) -> bytes:
    """The key under which the console seals what lies in the database; made where there is none.

    Raises:
        SecretError: it cannot be read or made, or is none.
    """
    path = context.node.directory.path / KEY_FILE
    try:
        if not path.exists() and not _renamed(path):
            _make(path)
        key = path.read_bytes()
    except OSError as error:
        raise SecretError(f"{path}: cannot be read or made ({error.strerror})") from None
    if len(key) != _KEY_BYTES:
        raise SecretError(f"{path}: not a key")
    return key


def _renamed(path: Path) -> bool:
    """Whether the key was there under its name before, and now has this one; a PEM file is no such key."""
    before = path.with_name(_KEY_FILE_BEFORE)
    if not before.is_file() or before.stat().st_size != _KEY_BYTES:
        return False
    with suppress(FileExistsError, FileNotFoundError):  # another process was faster
        os.link(before, path)
    before.unlink(missing_ok=True)
    return path.exists()


def _make(path: Path) -> None:
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)  # whole or not at all, and never over another process's
        except FileExistsError:
            return
    finally:
        fresh.unlink()


def _sealed(context: Context, user: str, secret: str) -> bytes:
    nonce = secrets.token_bytes(12)
    return nonce + AESGCM(console_key(context)).encrypt(nonce, secret.encode(), b"onetime " + user.encode())


def _opened(context: Context, user: str, sealed: bytes) -> str:
    try:
        raw = AESGCM(console_key(context)).decrypt(sealed[:12], sealed[12:], b"onetime " + user.encode())
    except (InvalidTag, ValueError):
        raise SecretError(f"{KEY_FILE} is not the one that sealed the users' one-time secrets") from None
    return raw.decode()


class Setup:
    """A secret that was made and not yet confirmed by a code."""

    def __init__(self, secret: str, until: float) -> None:
        self.secret, self.until = secret, until

    @property
    def grouped(self) -> str:
        """The secret, to be typed by hand."""
        return " ".join(self.secret[n : n + 4] for n in range(0, len(self.secret), 4))


def _setups(context: Context) -> dict[str, Setup]:
    found: dict[str, Setup] = context.parts.setdefault("onetime", {})
    return found


def begin(context: Context, user: str) -> Setup:
    """Make a secret for a user; it counts once a code of it was given."""
    setups, time = _setups(context), context.clock.now().timestamp()
    for other in [key for key, setup in list(setups.items()) if setup.until < time]:
        setups.pop(other, None)
    setups[user] = made = Setup(pyotp.random_base32(), time + 900)
    return made


def pending(context: Context, user: str) -> Setup | None:
    """The secret that waits for its first code."""
    found = _setups(context).get(user)
    return None if found is None or found.until < context.clock.now().timestamp() else found


def qr(context: Context, name: str, setup: Setup) -> bytes:
    """The secret as an SVG picture for an authenticator app."""
    label = quote(f"hitoku {context.node.directory.name}", safe="")
    address = f"otpauth://totp/{label}:{quote(name, safe='')}?secret={setup.secret}&issuer={label}"
    file = BytesIO()
    segno.make(address, micro=False).save(file, kind="svg", scale=4, border=2, dark="#000", light="#fff")
    return file.getvalue()


def _step_of(context: Context, secret: str, code: str) -> int | None:
    """The time step that a code is of: this one, the one before or the one after."""
    now_step = int(context.clock.now().timestamp()) // _STEP
    totp, found = pyotp.TOTP(secret), None
    for step in (now_step, now_step - 1, now_step + 1):
        if hmac.compare_digest(totp.at(step * _STEP), code):
            found = step
    return found


def finish(context: Context, user: str, code: str) -> list[str] | None:
    """Set one-time codes up by the first one. Returns the recovery codes; None where the code is wrong."""
    setup = pending(context, user)
    step = None if setup is None else _step_of(context, setup.secret, code.replace(" ", ""))
    if setup is None or step is None:
        return None
    codes = [_recovery_code() for _ in range(limits.RECOVERY_CODES)]
    values = {
        "onetime": _sealed(context, user, setup.secret),
        "onetime_used": step,
        "recovery": json.dumps([_hashed(code) for code in codes]),
        "changed": now(context),
    }
    with context.node.store().transaction() as connection:
        connection.execute(users.update().where(users.c.id == user).values(**values))
    _setups(context).pop(user, None)
    return codes


def recovery(context: Context, user: str) -> list[str]:
    """New recovery codes instead of the old ones.

    Raises:
        RoomError: the user has no one-time codes.
    """
    codes = [_recovery_code() for _ in range(limits.RECOVERY_CODES)]
    where = (users.c.id == user) & users.c.onetime.is_not(None)
    with context.node.store().transaction() as connection:
        done = connection.execute(
            users.update().where(where).values(recovery=json.dumps([_hashed(c) for c in codes]))
        )
    if done.rowcount == 0:
        raise RoomError("set up one-time codes first")
    return codes


def drop(context: Context, user: str) -> None:
    """A user's one-time and recovery codes count no more."""
    with context.node.store().transaction() as connection:
        connection.execute(
            users.update().where(users.c.id == user).values(onetime=None, recovery="[]", changed=now(context))
        )


def passes(context: Context, user: str, given: str) -> bool:
    """Whether it is a one-time or recovery code of a user that was not used before. It is used up then."""
    given = given.replace(" ", "").replace("-", "").upper()[:64]
    store = context.node.store()
    with store.reading() as connection:
        row = connection.execute(
            sa.select(users.c.onetime, users.c.recovery).where(users.c.id == user)
        ).one_or_none()
    if row is None or row.onetime is None:
        return False
    if _CODE.fullmatch(given):
        step = _step_of(context, _opened(context, user, row.onetime), given)
        if step is None:
            return False
        where = (users.c.id == user) & (users.c.onetime_used < step)
        with store.transaction() as connection:
            return connection.execute(users.update().where(where).values(onetime_used=step)).rowcount == 1
    left = [code for code in json.loads(row.recovery) if not hmac.compare_digest(code, _hashed(given))]
    if len(left) == len(json.loads(row.recovery)):
        return False
    # Only if nobody used one meanwhile: else the same code would work twice at once.
    where = (users.c.id == user) & (users.c.recovery == row.recovery)
    with store.transaction() as connection:
        return connection.execute(users.update().where(where).values(recovery=json.dumps(left))).rowcount == 1


def _recovery_code() -> str:
    text = "".join(secrets.choice(_ALPHABET) for _ in range(16))
    return "-".join(text[n : n + 4] for n in range(0, 16, 4))


def _hashed(code: str) -> str:
    return hashlib.sha256(code.replace("-", "").encode()).hexdigest()
