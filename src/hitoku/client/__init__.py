# SPDX-License-Identifier: Apache-2.0
"""A program's way to a node: `hitoku.connect(url)`, a DB-API 2.0 module (`hitoku.client.dbapi`), `%%hitoku`.

A client speaks the console's JSON API with a user's token. It holds no key of the member and sees what that
user may see; the node asks, pays and keeps the ledger.
"""

from __future__ import annotations

from hitoku.client.connection import Connection, connect
from hitoku.client.room import RoomClient
from hitoku.client.shapes import Explained

__all__ = ["Connection", "Explained", "RoomClient", "connect"]
