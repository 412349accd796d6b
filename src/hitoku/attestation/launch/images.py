# SPDX-License-Identifier: Apache-2.0
"""A member's node as a program that is attested.

It needs the network and its member's directory, which is lent to it at a fixed path, as data that cannot be
executed, and may have a second directory to read: so its command line and places are the same for every
member, and two companies that run the same program have the same digest. What lies in those directories
(settings, keys, tables) is input, which the room and its signatures govern, not part of the program.
"""

from __future__ import annotations

from importlib.metadata import requires
from pathlib import Path
from typing import Final

from hitoku.attestation.launch.image import Image, Installation
from hitoku.attestation.program import Confinement

__all__ = ["MEMBER", "lent", "node_image"]

MEMBER: Final = "/member"
"""Where a node finds its member's directory."""

_ATTESTATION: Final = ("asn1crypto", "cbor2", "dcap-qvl")
# Parts of packages that nothing here uses; libraries that are needed all the same come back by themselves.
_WITHOUT: Final = (
    "pyarrow/_flight",
    "pyarrow/_gcsfs",
    "pyarrow/_substrait",
    "pyarrow/libarrow_flight",
    "pyarrow/libarrow_substrait",
    "pyarrow/libarrow_python_flight",
    "pyarrow/src/",
)


def node_image(source: Installation | None = None) -> Image:
    """A member's node: ``hitoku node serve /member``. Launch it with what `lent` gives.

    Args:
        source: the installation that it is made of; this process's where None.
    """
    needed = [text for text in requires("hitoku") or () if "extra" not in text]
    names = [_name(text) for text in needed]
    return Image(
        (*names, *_ATTESTATION),
        "hitoku.cli.main:main",
        ("node", "serve", MEMBER),
        without=_WITHOUT,
        confinement=Confinement(network=True, scratch=True, output=True, lent=("data", "member")),
        source=source,
    )


def lent(member: Path, data: Path | None = None) -> dict[str, Path | None]:
    """What a node is lent, by place: its member's directory, which it writes, and one that it can only read.

    Args:
        member: the directory.
        data: a directory of room files and tables that do not lie in the member's. Settings name them as
            ``../data/...`` (or ``/data/...``). None: nothing, and ``/data`` is empty.
    """
    return {MEMBER.lstrip("/"): member, "data": data}


def _name(requirement: str) -> str:
    end = next((place for place, sign in enumerate(requirement) if sign in " <>=!~;[("), len(requirement))
    return requirement[:end]
