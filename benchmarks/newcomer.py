# SPDX-License-Identifier: Apache-2.0
"""From a clone to the first answer in a browser, with the README's commands and empty caches.

    python benchmarks/newcomer.py [--directory FOLDER]

The machine must have what the README names before (Python, Rust, a C compiler, make), git, and Chromium.
Packages are downloaded anew, so the figure has this place's network in it. Reading and typing are a person's
own and not counted; the clicks are.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
LIMIT_SECONDS = 300
COMMANDS = (["make", "build", "EXTRAS=console"],)


def quiet(caches: Path) -> dict[str, str]:
    """The environment with package caches that hold nothing; where registries are is kept."""
    environment = {
        k: v for k, v in os.environ.items() if k not in {"VIRTUAL_ENV", "PYTHONPATH", "CARGO_TARGET_DIR"}
    }
    cargo = Path(environment.get("CARGO_HOME", Path.home() / ".cargo"))
    for name in ("config.toml", "config", "credentials.toml"):
        if (cargo / name).is_file():
            (caches / "cargo").mkdir(parents=True, exist_ok=True)
            shutil.copy(cargo / name, caches / "cargo" / name)
    return environment | {
        "CARGO_HOME": str(caches / "cargo"),
        "UV_CACHE_DIR": str(caches / "uv"),
        "PIP_CACHE_DIR": str(caches / "pip"),
    }


def answered(consoles: list[dict[str, Any]]) -> float:
    """Seconds from the first page until the answer and its plot stand on one, as the first of the users."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("there is no Chromium: apt install chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"] if os.getuid() == 0 else []
        )
        page = browser.new_page()
        page.set_default_timeout(LIMIT_SECONDS * 1000)
        began = time.monotonic()
        page.goto(consoles[0]["url"])
        page.get_by_label("Name").fill(consoles[0]["user"])
        page.get_by_label("Password").fill(consoles[0]["password"])
        page.get_by_role("button", name="Sign in").click()
        page.locator("header").get_by_role("link", name="Rooms").click()
        page.locator("main").get_by_role("link", name="Where subscribers travel").first.click()
        page.get_by_role("link", name="Templates").click()
        page.get_by_role("button", name="Fill in and check").click()
        page.get_by_role("button", name="Run it").click()
        page.locator("#answer-table").wait_for()
        page.locator("#plot svg").wait_for()
        seconds = time.monotonic() - began
        browser.close()
    return seconds


def main() -> None:
    """Print each step's seconds, and their sum against the limit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--directory", type=Path, help="where the clone goes; a temporary folder otherwise")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.directory) as folder:
        place = Path(folder)
        environment = quiet(place / "caches")
        steps: dict[str, float] = {}

        def step(words: list[str], where: Path) -> None:
            began = time.monotonic()
            subprocess.run(words, cwd=where, env=environment, check=True, stdout=subprocess.DEVNULL)
            steps[" ".join(words)] = time.monotonic() - began

        step(["git", "clone", "--quiet", str(HERE), "hitoku"], place)
        for command in COMMANDS:
            step(command, place / "hitoku")
        began = time.monotonic()
        # `--json` says where the consoles are; a person reads the same in words.
        demo = subprocess.Popen(
            [".venv/bin/hitoku", "demo", "console", "--json"],
            cwd=place / "hitoku", env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            assert demo.stdout is not None
            told = json.loads(demo.stdout.readline())
            steps[".venv/bin/hitoku demo console"] = time.monotonic() - began
            steps["sign in, click, see the answer and its plot"] = answered(told["consoles"])
            demo.send_signal(signal.SIGINT)
            demo.wait(60)
        finally:
            demo.kill()
            demo.wait()
    for name, seconds in steps.items():
        print(f"{seconds:8.1f} s  {name.replace(str(HERE), 'REPOSITORY')}")
    total = sum(steps.values())
    print(f"{total:8.1f} s  together; limit {LIMIT_SECONDS} s")
    print(f"load average over the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
