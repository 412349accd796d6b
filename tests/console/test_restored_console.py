# SPDX-License-Identifier: Apache-2.0
"""A node that is restored into an empty directory has its console: its users, and what they worked on."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyotp
import pytest
from tests.conftest import Place
from tests.console.conftest import Console, cheap_passwords, make_console

from hitoku.console import onetime, passwords, store
from hitoku.console.users import May
from hitoku.node.backup import backup
from hitoku.node.restore import restore
from hitoku.node.settings import ConsoleSettings
from hitoku.room.directory import MemberDirectory

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    cheap_passwords(monkeypatch)


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text("a long passphrase\n")
    path.chmod(0o600)
    return path


def prepared(console: Any) -> pyotp.TOTP:
    """A user with a password and one-time codes, and files of the member beside its database."""
    account = console.account(May.ASK, May.ADMINISTER, name="ann", password=passwords.hashed(PASSWORD))
    setup = onetime.begin(console.context, account.id)
    totp = pyotp.TOTP(setup.secret)
    assert onetime.finish(console.context, account.id, totp.at(console.clock.now())) is not None
    base = console.context.node.directory.path
    for name in (f"examples/{console.room}/flights.json", f"proposals/{console.room}/_bound.json"):
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text(json.dumps({"file": name}))
    for name in ("answers/1.json", "joining/2.invitation"):
        (base / name).parent.mkdir(exist_ok=True)
        (base / name).write_text(name)
    return totp


def again(console: Any, at: Path) -> Console:
    """The console of the directory that was restored."""
    place: Place = console.place
    members = {**place.members, console.member: MemberDirectory.open(at)}
    made = make_console(Place(place.path, members, place.room), console.member)
    made.clock.pass_seconds(120)  # the code that set it up is used up
    return made


def test_the_same_user_signs_in_with_password_and_code(
    console: Any, tmp_path: Path, passphrase: Path
) -> None:
    totp = prepared(console)
    before = console.sign_in(May.ASK)
    assert before.get("/account").status_code == 200
    clock, old = console.clock, console.context.node.directory
    backup(old, tmp_path / "backup.zip", clock, passphrase=passphrase)
    restore(tmp_path / "backup.zip", tmp_path / "again", clock, passphrase=passphrase)

    for folder in ("examples", "proposals", "answers", "joining"):
        for path in (p for p in (old.path / folder).rglob("*") if p.is_file()):
            assert (tmp_path / "again" / path.relative_to(old.path)).read_bytes() == path.read_bytes()
    restored = again(console, tmp_path / "again")
    try:
        browser = restored.browser()
        browser.get("/login")
        wrong = browser.submit("/login", name="ann", password="another password")
        assert wrong.status_code == 403
        answer = browser.submit("/login", name="ann", password=PASSWORD)
        assert answer.headers["location"].startswith("/login/code")
        assert browser.submit("/login/code", code="000000").status_code == 403
        given = browser.submit("/login/code", code=totp.at(restored.clock.now()))
        assert given.status_code == 303
        assert browser.get("/account").status_code == 200
        assert console.place.agreement.name in browser.get("/rooms").text
        # Who was signed in then is not signed in now.
        late = restored.browser()
        late.hold(before.session)
        assert late.get("/account").status_code == 303
    finally:
        restored.close()


def test_without_the_passphrase_no_code_passes(console: Any, tmp_path: Path) -> None:
    """The key that one-time codes are sealed under is in a backup under the passphrase only."""
    totp = prepared(console)
    old = console.context.node.directory
    backup(old, tmp_path / "backup.zip", console.clock)
    restore(tmp_path / "backup.zip", tmp_path / "again", console.clock, key=old.keys().public_key())
    assert list((tmp_path / "again").glob("*.key")) == []
    shutil.copy2(old.key_file, tmp_path / "again")  # kept elsewhere, say
    restored = again(console, tmp_path / "again")
    try:
        browser = restored.browser()
        browser.get("/login")
        answer = browser.submit("/login", name="ann", password=PASSWORD)
        assert answer.headers["location"].startswith("/login/code")
        given = browser.submit("/login/code", code=totp.at(restored.clock.now()))
        assert given.status_code == 400
        assert "console-sealing.key is not the one" in given.text  # and that is all it is: no server error
        assert browser.get("/account").status_code == 303
    finally:
        restored.close()


def test_a_certificates_key_and_the_sealing_key_have_names_of_their_own(console: Any) -> None:
    """`console.key` is what people call the one; the other was called so before, and was then no key."""
    directory = console.context.node.directory.path
    (directory / "console.key").write_bytes(b"-----BEGIN PRIVATE KEY-----\n")
    made = onetime.console_key(console.context)
    assert (directory / "console.key").read_bytes().startswith(b"-----BEGIN")
    assert (directory / "console-sealing.key").read_bytes() == made
    assert (directory / "console-sealing.key").stat().st_mode & 0o777 == 0o600
    for name in ("console-sealing.key", "./member.key"):
        with pytest.raises(ValueError, match="a file that hitoku keeps itself"):
            ConsoleSettings(certificate="console.pem", key=name, url="https://console.example")


def test_the_sealing_key_is_found_under_its_old_name(console: Any) -> None:
    totp = prepared(console)
    directory = console.context.node.directory.path
    (directory / "console-sealing.key").rename(directory / "console.key")
    console.clock.pass_seconds(60)
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(onetime.console_key, [console.context] * 8))) == 1
    account = store.by_name(console.context, "ann")
    assert account is not None
    assert onetime.passes(console.context, account.id, totp.at(console.clock.now()))
    assert not (directory / "console.key").exists()
    assert (directory / "console-sealing.key").stat().st_mode & 0o777 == 0o600
