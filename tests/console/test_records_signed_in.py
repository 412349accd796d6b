# SPDX-License-Identifier: Apache-2.0
"""The pages of records in the whole console: sessions, abilities, forged posts, the security policy."""

from __future__ import annotations

import re
from typing import Any

from hitoku.console.users import May

ANYBODY = [
    "/learning",
    "/rooms/{room}/models",
    "/rooms/{room}/attestation",
    "/rooms/{room}/attestation/check",
    "/rooms/{room}/attestation/deletion",
    "/rooms/{room}/ledger/proof",
]
AUDITORS = [
    "/audit",
    "/audit.csv",
    "/rooms/{room}/ledger",
    "/rooms/{room}/ledger/heads",
    "/rooms/{room}/ledger/export",
    "/rooms/{room}/ledger/export.jsonl",
    "/rooms/{room}/ledger/verify",
]


FORMS = ["ledger/verify", "ledger/proof", "ledger/heads", "attestation/check", "attestation/deletion"]


def test_pages_come_to_who_may_see_them(console: Any) -> None:
    auditor, asker = console.sign_in(May.AUDIT, language="ja"), console.sign_in(May.ASK)
    stranger, elsewhere = console.browser(), console.sign_in(*May, rooms=frozenset())
    for path in (*ANYBODY, *AUDITORS):
        place = path.format(room=console.room)
        answer = auditor.get(place)
        assert answer.status_code == 200, answer.text[:1500]
        assert "no-store" in answer.headers["cache-control"], path
        if answer.headers["content-type"].startswith("text/html"):
            assert 'lang="ja"' in answer.text
            assert not re.search(r"<script(?! src=)|\son\w+=|\sstyle=", answer.text), path
        assert asker.get(place).status_code == (200 if path in ANYBODY else 403), path
        nobody = stranger.get(place)
        assert nobody.status_code == 303, path
        assert nobody.headers["location"].startswith("/login"), path
        if "{room}" in path:
            assert elsewhere.get(place).status_code == 404, path


def test_forged_posts_are_refused(console: Any) -> None:
    browser = console.sign_in(May.AUDIT)
    for path in FORMS:
        place = f"/rooms/{console.room}/{path}"
        assert browser.post(place, data={"proof": "{}"}).status_code == 403, path
        assert browser.submit(place, csrf="forged").status_code == 403, path
        assert browser.submit(place, headers={"origin": "https://evil.example"}).status_code == 403, path


def test_a_ledger_is_verified_by_a_signed_in_auditor(console: Any) -> None:
    browser = console.sign_in(May.AUDIT)
    answer = browser.submit(f"/rooms/{console.room}/ledger/verify")
    assert answer.status_code == 303
    assert browser.get(answer.headers["location"]).status_code == 200
    browser.get(f"/rooms/{console.room}/ledger/export.jsonl")
    browser.get("/audit.csv")
    page = browser.get("/audit").text
    assert page.index("audit exported") < page.index("ledger exported") < page.index("ledger verified")
    assert browser.account.name in page
