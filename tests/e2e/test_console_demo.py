# SPDX-License-Identifier: Apache-2.0
"""`hitoku demo console`: from the command to an answer in a browser, by what it says; and that it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.e2e.browsers import chromium

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SECONDS = 300


@pytest.fixture
def said(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What the command says when both consoles answer; afterwards it ends, and its nodes with it."""
    words = ["demo", "console", "--directory", str(tmp_path / "demo"), "--people", "2000", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "hitoku.cli.main", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, process.communicate()[1].decode()
        told = json.loads(line)
        yield told
        process.send_signal(signal.SIGINT)
        _, heard = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, heard.decode()
        for console in told["consoles"]:
            assert console["password"] in heard.decode()
            with pytest.raises(OSError):
                socket.create_connection(("127.0.0.1", urlsplit(console["url"]).port), timeout=1)
    finally:
        process.kill()
        process.wait()


def test_both_get_an_answer_in_one_browser_window(said: dict[str, Any]) -> None:
    from playwright.sync_api import sync_playwright

    path = chromium()
    with sync_playwright() as play:
        arguments = ["--no-sandbox"] if os.getuid() == 0 else []
        browser = play.chromium.launch(executable_path=path, args=arguments)
        page = browser.new_page()
        page.set_default_timeout(SECONDS * 1000)
        for console in said["consoles"]:
            page.goto(console["url"])
            page.get_by_label("Name").fill(console["user"])
            page.get_by_label("Password").fill(console["password"])
            page.get_by_role("button", name="Sign in").click()
            page.locator("header").get_by_role("link", name="Rooms").click()
            page.locator("main").get_by_role("link", name="Where subscribers travel").first.click()
            page.get_by_role("link", name="Templates").click()
            page.get_by_role("button", name="Fill in and check").click()
            page.get_by_role("button", name="Run it").click()
            page.locator("#answer-table").wait_for()
            page.locator("#plot svg").wait_for()
            assert page.locator("#answer-table tbody tr").count() == 10
        # Both sessions hold: cookies go by host, and the two consoles are under two names.
        page.goto(said["consoles"][0]["url"])
        assert page.locator("header").get_by_role("link", name=said["consoles"][0]["user"]).count() == 1
        browser.close()
