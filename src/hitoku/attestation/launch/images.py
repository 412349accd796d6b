# SPDX-License-Identifier: Apache-2.0
"""A member's node as a program that is attested.

It needs the network and its member's directory, which is lent to it at a fixed path, as data that cannot be
executed: so its command line is the same for every member, and two companies that run the same program have
the same digest. What lies in that directory (settings, keys, tables) is input, which the room and its
signatures govern, not part of the program.
"""

from __future__ import annotations

from importlib.metadata import requires
from pathlib import Path
from typing import Final

from hitoku.attestation.launch.confine import Bound
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
        confinement=Confinement(network=True, scratch=True, output=True),
        source=source,
    )


def lent(member: Path, others: dict[str, Path] | None = None) -> list[Bound]:
    """What a node is lent: its member's directory, writable, and others, which it can only read.

    Args:
        member: the directory.
        others: path inside -> path outside, of room files and tables that lie elsewhere. Settings that name
            ``../room.yaml`` find ``/room.yaml``.
    """
    made = [Bound(MEMBER.lstrip("/"), str(member), writable=True)]
    return made + [Bound(inside.lstrip("/"), str(outside)) for inside, outside in (others or {}).items()]


def _name(requirement: str) -> str:
    end = next((place for place, sign in enumerate(requirement) if sign in " <>=!~;[("), len(requirement))
    return requirement[:end]
