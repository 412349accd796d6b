# SPDX-License-Identifier: Apache-2.0
"""A member's node with its console as a process: who is signed in stays so when it is stopped and started."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time

import httpx
import pytest
from tests.e2e.nodes import SECONDS, free_ports, hitoku

pytestmark = pytest.mark.e2e

PASSWORD = "a password that nobody else has 7f3a"


class Process:
    """`hitoku node serve`, until SIGTERM."""

    def __init__(self, directory, log, url):
        self.log = log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hitoku.cli.main", "node", "serve", str(directory)], stderr=self.log
        )
        until = time.monotonic() + SECONDS
        while True:
            try:
                assert httpx.get(f"{url}/login", trust_env=False).status_code == 200
                return
            except httpx.TransportError:
                assert self.process.poll() is None, log.read_text("utf-8")
                assert time.monotonic() < until
                time.sleep(0.2)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.code = self.process.wait(SECONDS)
        finally:
            self.process.kill()
            self.log.close()


def test_sessions_survive_a_restart_in_order_and_logs_hold_no_secret(tmp_path):
    directory, log = tmp_path / "airport", tmp_path / "log"
    node, port = free_ports(2)
    url = f"http://127.0.0.1:{port}"
    assert hitoku("room", "member", directory, "--name", "airport").returncode == 0
    made = hitoku(
        "node", "init", directory, "--listen", f"127.0.0.1:{node}", "--console", f"127.0.0.1:{port}"
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    added = subprocess.run(
        [sys.executable, "-m", "hitoku.cli.main", "user", "add", str(directory), "anne",
         "--ability", "administer"],
        input=PASSWORD + "\n", capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    with httpx.Client(base_url=url, trust_env=False, timeout=SECONDS) as browser:
        with Process(directory, log, url) as first:
            assert browser.get("/").status_code == 303
            token = re.search(r'name="csrf" value="([^"]+)"', browser.get("/login").text)
            assert token is not None
            form = {"csrf": token[1], "name": "anne", "password": PASSWORD, "next": "/"}
            signed = browser.post("/login", data=form, headers={"origin": url})
            assert signed.status_code == 303, signed.text
            assert browser.get("/").status_code == 200
        assert first.code == 0
        with pytest.raises(httpx.TransportError):
            browser.get("/")
        with Process(directory, log, url) as second:
            assert browser.get("/").status_code == 200
        assert second.code == 0
        cookies = list(browser.cookies.values())
    text = log.read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["event"] for line in lines].count("stopped") == 2
    assert all(line["ended"] for line in lines if line["event"] == "stopped")
    assert {word for word in (PASSWORD, token[1], *cookies) if word in text} == set()
