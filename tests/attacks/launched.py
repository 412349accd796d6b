# SPDX-License-Identifier: Apache-2.0
"""Small images around `launch_probe`, and what its programs tell."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from hitoku.attestation.launch.image import Image, Installation
from hitoku.attestation.launch.start import Launched
from hitoku.attestation.program import Confinement

__all__ = ["PROBE", "image", "source", "told"]

PROBE = Path(__file__).with_name("launch_probe.py")
_NOT_NEEDED = tuple(
    f"hitoku/{part}"
    for part in (
        "_core",
        "ask",
        "cli",
        "columns",
        "demo",
        "disclosure",
        "engine",
        "executors",
        "node",
        "protections",
        "questions",
        "room",
        "sources",
        "transport",
    )
)


def source() -> Installation:
    """This installation and the probe."""
    here = Installation.here()
    return replace(here, own=(*here.own, PROBE))


def image(entry: str, *argv: str, made_of: Installation | None = None, **confinement: Any) -> Image:
    """An image of the probe, of hitoku's attestation and of cbor2."""
    return Image(
        ("cbor2",),
        f"launch_probe:{entry}",
        argv,
        without=_NOT_NEEDED,
        confinement=Confinement(**confinement),
        source=made_of or source(),
    )


def told(launched: Launched) -> dict[str, Any]:
    """The line that the program sends."""
    launched.channel.settimeout(60)
    content = b""
    while not content.endswith(b"\n"):
        chunk = launched.channel.recv(1 << 20)
        assert chunk, "the program ended without a word"
        content += chunk
    found: dict[str, Any] = json.loads(content)
    return found
