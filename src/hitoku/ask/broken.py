# SPDX-License-Identifier: Apache-2.0
"""What the three-server kernel reports of the other two, with their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hitoku.errors import PeerError

__all__ = ["ECHOES", "Told", "broken"]

ECHOES: Final = frozenset({"SHARES_ABORTED", "SHARES_CLOSED"})
"""Codes of a server that only lost another one: who ended the run, and why, is for others to say."""


class Told:
    """Turns what the kernel says of the other two into errors that name them."""

    def __init__(self, servers: Sequence[str]) -> None:
        self._servers = servers

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        from hitoku.hazmat.shares_errors import SharesError

        del kind, trace
        if isinstance(error, SharesError):
            raise broken(error, self._servers) from None


_WORDS: Final[Mapping[str, str]] = {
    "closed": "broke off",
    "timeout": "did not answer in time",
    "size": "sent something of another size than the program says",
    "hello": "is about another run or program, or does not speak as agreed",
    "certificate": "is not who the room says",
    "disagree": "saw other values where all three must see the same",
    "aborted": "ended the run",
}


def broken(error: BaseException, servers: Sequence[str]) -> PeerError:
    """What the kernel's error says, with the name of who it is about."""
    code, peer = str(getattr(error, "code", "")), getattr(error, "peer", None)
    who = f"server {servers[peer]!r}" if isinstance(peer, int) and peer < len(servers) else "another server"
    words = _WORDS.get(code, "failed")
    return PeerError(f"{who} {words}: nothing was given out", f"SHARES_{code.upper() or 'FAILED'}")
