# SPDX-License-Identifier: Apache-2.0
"""The common name in an X.501 name: what vendors call a certificate's role or a device's model."""

from __future__ import annotations

from typing import Final

from hitoku.attestation.strict import der

__all__ = ["common_name"]

_COMMON_NAME: Final = "2.5.4.3"
_SET: Final = 0x31
_MOST_BYTES: Final = 1 << 12


def common_name(name: bytes) -> str | None:
    """The first common name in a name's DER bytes, or None.

    Raises:
        Refused: ``MALFORMED``.
    """
    for relative in der(name, most=_MOST_BYTES).children():
        for pair in relative.children(_SET):
            parts = pair.children()
            if len(parts) == 2 and parts[0].oid() == _COMMON_NAME:
                return parts[1].content.decode("utf-8", "replace")
    return None
