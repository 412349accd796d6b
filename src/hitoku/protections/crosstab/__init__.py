# SPDX-License-Identifier: Apache-2.0
"""Crosstab: private cross statistics between two owners, who show each other no row.

Who learns what is in `leakage`; the protocol and its argument are in `party`.
"""

from __future__ import annotations

from hitoku.protections.crosstab.protection import Crosstab, Site

__all__ = ["Crosstab", "Site"]
