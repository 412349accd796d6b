# SPDX-License-Identifier: Apache-2.0
"""Tables from outside as Arrow batches, and files that appear whole or not at all."""

from __future__ import annotations

from hitoku.sources.base import Batch, RowError, Source
from hitoku.sources.formats import Format, format_of, open_source
from hitoku.sources.target import NewFile

__all__ = ["Batch", "Format", "NewFile", "RowError", "Source", "format_of", "open_source"]
