# SPDX-License-Identifier: Apache-2.0
"""Tokens: SQL on encrypted tables, run by a host that holds no key.

Who learns what is in `leakage`; the way of the data is in `docs/protections/tokens.md`.
"""

from __future__ import annotations

from hitoku.engine.tables import TableFile
from hitoku.protections.tokens.protection import Tokens

__all__ = ["TableFile", "Tokens"]
