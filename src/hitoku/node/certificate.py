# SPDX-License-Identifier: Apache-2.0
"""The certificate that a member's node shows, as a file: Python's `ssl` reads it from files only."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from hitoku.errors import RoomError, SecretError
from hitoku.room.agreement import Agreement
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import write_whole
from hitoku.room.private import read_private
from hitoku.transport.https.certificate import make_certificate

__all__ = ["CERTIFICATE_FILE", "certificate_file", "check_key"]

CERTIFICATE_FILE: Final = "node.crt"


def certificate_file(directory: MemberDirectory) -> Path:
    """The member's certificate, made of its key, and written where it is missing or another key's.

    Raises:
        SecretError: the key is missing, damaged, or open to others.
        RoomError: the file cannot be written.
    """
    content = read_private(directory.key_file, "the member key")
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SecretError(f"{directory.key_file}: not an Ed25519 key in PEM; was the file damaged?")
    path, made = directory.path / CERTIFICATE_FILE, make_certificate(key)
    try:
        same = path.read_bytes() == made
    except OSError:
        same = False
    if not same:
        write_whole(path, made)
    return path


def check_key(directory: MemberDirectory, agreement: Agreement) -> None:
    """See to it that the directory's key is its member's: by another, the other nodes would not know it.

    Raises:
        RoomError: the room names another key for the member, or does not have it.
        SecretError: the key is missing, damaged, or open to others.
    """
    member = agreement.member(directory.name)
    if member is None:
        raise RoomError(f"{directory.name!r} is no member of room {agreement.name!r}")
    if member.key != directory.keys().public_key():
        raise RoomError(
            f"{directory.key_file}: is not the key that room {agreement.name!r} names for {directory.name!r}"
        )
