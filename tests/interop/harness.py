# SPDX-License-Identifier: Apache-2.0
"""Builds the harness that runs AWS's SDK, or says why it cannot be had. Nothing of hitoku is used here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

HARNESS: Final = Path(__file__).parent / "c3r"
MAIN: Final = "hitoku.interop.Harness"


class MissingError(Exception):
    """AWS's client cannot be had on this machine; the text says why."""


def build_harness() -> list[str]:
    """The command that runs AWS's SDK, built by Maven if it is not yet.

    Raises:
        MissingError: Java, Maven or the SDK's artifacts are not to be had.
    """
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            raise MissingError(f"{tool} is not installed")
    target = HARNESS / "target"
    jar = target / "c3r-harness-1.jar"
    newest = max(path.stat().st_mtime for path in [HARNESS / "pom.xml", *HARNESS.glob("src/**/*.java")])
    if not jar.exists() or jar.stat().st_mtime < newest:
        pom = str(HARNESS / "pom.xml")
        command = ["mvn", "--quiet", "--batch-mode", "-Dstyle.color=never", "--file", pom, "package"]
        # -U: a registry that could not be asked once is asked again.
        for attempt in ([*command, "--offline"], [*command, "-U"]):
            built = subprocess.run(attempt, capture_output=True, text=True, timeout=600, check=False)
            if built.returncode == 0:
                break
        else:
            output = built.stdout + built.stderr
            if "Could not resolve" in output or "Could not transfer" in output:
                found = re.search(r"Could not (find|transfer) artifact.*?(?= ->|$)", output, re.MULTILINE)
                said = found.group() if found else "it does not resolve"
                raise MissingError(f"the registry does not serve AWS's SDK: {said[:300]}")
            raise AssertionError(f"the harness does not build:\n{output}")
    return ["java", "-cp", os.pathsep.join([str(jar), str(target / "lib" / "*")]), MAIN]
