# SPDX-License-Identifier: Apache-2.0
"""Executors: who runs a function over many batches."""

from __future__ import annotations

from hitoku.executors.local import Local

__all__ = ["Local"]
