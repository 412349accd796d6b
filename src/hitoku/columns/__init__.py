# SPDX-License-Identifier: Apache-2.0
"""Encrypted columns in the file format of AWS C3R: schema, encrypt, decrypt.

::

    from hitoku.columns import encrypt, read_secret
    encrypt("flights.csv", "flights.enc.csv", "schema.json", Settings(), room_id, read_secret())
"""

from __future__ import annotations

from hitoku.columns.decrypt import decrypt
from hitoku.columns.encrypt import encrypt
from hitoku.columns.keys import Keys, read_secret
from hitoku.columns.schema import ColumnSchema, Pad, TableSchema, load_schema
from hitoku.columns.summary import Summary

__all__ = [
    "ColumnSchema",
    "Keys",
    "Pad",
    "Summary",
    "TableSchema",
    "decrypt",
    "encrypt",
    "load_schema",
    "read_secret",
]
