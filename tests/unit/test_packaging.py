# SPDX-License-Identifier: Apache-2.0
"""The systemd unit and the container file: what can be held without systemd or a container engine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a container file, continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(w, rest) for w, _, rest in (one.partition(" ") for one in joined.splitlines() if one.strip())]


@pytest.fixture(scope="module")
def container() -> list[tuple[str, str]]:
    return instructions((PACKAGING / "Containerfile").read_text("utf-8"))


KNOWN = {"FROM", "RUN", "COPY", "ENV", "LABEL", "USER", "WORKDIR", "VOLUME", "EXPOSE", "STOPSIGNAL",
         "HEALTHCHECK", "ENTRYPOINT", "CMD"}  # fmt: skip


def test_the_container_file_has_two_stages_and_only_the_second_is_kept(container):
    assert {word for word, _ in container} <= KNOWN
    stages = [rest for word, rest in container if word == "FROM"]
    assert len(stages) == 2
    assert stages[0].endswith(" AS build")
    assert all(re.search(r":[0-9]+\.[0-9]+[a-z0-9.-]*( AS build)?$", stage) for stage in stages)
    last = container[[word for word, _ in container].index("FROM", 1) :]
    copied = [rest for word, rest in last if word == "COPY"]
    assert copied == ["--from=build --chown=root:root /opt/hitoku /opt/hitoku"]
    assert not re.search(r"curl|apt-get|pip|cargo", " ".join(rest for word, rest in last if word == "RUN"))


def test_the_container_runs_the_node_as_nobody_special_and_as_process_one(container):
    last = dict(container[[word for word, _ in container].index("FROM", 1) :])
    uid = last["USER"].split(":")[0]
    assert uid.isdigit()
    assert int(uid) >= 10_000
    assert json.loads(last["ENTRYPOINT"]) == ["hitoku"]  # the exec form: signals reach it
    assert json.loads(last["CMD"]) == ["node", "serve", "/var/lib/hitoku"]
    assert last["STOPSIGNAL"] == "SIGTERM"
    assert last["VOLUME"] == "/var/lib/hitoku"
    words = [word for word, _ in container]
    assert len(words) - 1 - words[::-1].index("USER") > len(words) - 1 - words[::-1].index("RUN")


def test_no_secret_gets_into_the_image(container):
    assert "ARG" not in {word for word, _ in container}
    for word, rest in container:
        assert not re.search(r"(?i)secret|password|token|\bkey\b|PRIVATE", rest), (word, rest)
        if word == "COPY":  # nothing of the clone but what is named; never the whole of it
            assert not re.search(r"(^| )\.(/)? ", rest), rest
    named = " ".join(r for w, r in container if w == "COPY" and "--from" not in r).split()
    root = PACKAGING.parent
    assert all((root / name).exists() for name in named if not name.startswith("./") and name != "./")


def test_extras_of_the_container_are_there(container):
    import tomllib

    known = tomllib.loads((PACKAGING.parent / "pyproject.toml").read_text("utf-8"))["project"]
    extras = re.findall(r"--extra (\S+)", " ".join(rest for _, rest in container))
    assert extras
    assert set(extras) <= set(known["optional-dependencies"])


@pytest.fixture(scope="module")
def unit() -> str:
    return (PACKAGING / "hitoku-node.service").read_text("utf-8")


def test_the_unit_gives_the_node_no_rights(unit):
    said = dict(re.findall(r"^([A-Za-z]+)=(.*)$", unit, re.M))
    for name in (
        "NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectKernelModules",
        "ProtectKernelTunables", "ProtectKernelLogs", "ProtectControlGroups", "RestrictNamespaces",
        "RestrictSUIDSGID", "LockPersonality",
    ):  # fmt: skip
        assert said[name] == "yes", name
    assert said["ProtectSystem"] == "strict"
    assert said["CapabilityBoundingSet"] == ""
    assert said["AmbientCapabilities"] == ""
    assert said["User"] == "hitoku"
    assert said["UMask"] == "0077"
    assert said["StateDirectoryMode"] == "0700"
    assert said["LimitCORE"] == "0"
    assert said["MemorySwapMax"] == "0"
    from hitoku.node.serving import _STOP_SECONDS
    from hitoku.transport.https import bounds

    assert int(said["TimeoutStopSec"]) > 3 * bounds.GRACE_SECONDS + _STOP_SECONDS


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit(unit, tmp_path):
    file = tmp_path / "hitoku-node.service"
    file.write_text(unit.replace("/opt/hitoku/bin/hitoku", shutil.which("true") or "/bin/true"), "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(file)], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
