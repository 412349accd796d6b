# SPDX-License-Identifier: Apache-2.0
"""The protection `shares`: SQL over tables that three servers hold in secret shares. Unaudited."""

from __future__ import annotations

from hitoku.protections.shares.protection import Shares

__all__ = ["Shares"]
