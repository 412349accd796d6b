# SPDX-License-Identifier: Apache-2.0
"""The console's tables: who signs in, and what people of this member asked and drafted.

They stand in the member's database, so that one backup has all of it. Passwords are argon2id hashes, session
and bearer tokens SHA-256 hashes; a one-time secret is encrypted under a key beside the database.
"""

from __future__ import annotations

import sqlalchemy as sa

from hitoku.room.schema import metadata

__all__ = ["asks", "attempts", "drafts", "events", "sessions", "tokens", "users"]

users = sa.Table(
    "console_users",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(63), nullable=False, unique=True),
    sa.Column("password", sa.String(255), nullable=True),
    sa.Column("onetime", sa.LargeBinary, nullable=True),
    sa.Column("onetime_used", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("recovery", sa.Text, nullable=False, server_default="[]"),
    sa.Column("abilities", sa.Text, nullable=False),
    sa.Column("rooms", sa.Text, nullable=True),
    sa.Column("language", sa.String(8), nullable=False),
    sa.Column("theme", sa.String(8), nullable=False),
    sa.Column("issuer", sa.String(255), nullable=True),
    sa.Column("subject", sa.String(255), nullable=True),
    sa.Column("disabled", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("created", sa.String(32), nullable=False),
    sa.Column("changed", sa.String(32), nullable=False),
    sa.Index("console_users_subject", "issuer", "subject", unique=True),
)
"""People. `onetime` is the sealed TOTP secret (None: none set up), `onetime_used` the last used time step."""

sessions = sa.Table(
    "console_sessions",
    metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("user", sa.String(32), nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("seen", sa.Float, nullable=False),
    sa.Column("until", sa.Float, nullable=False),
    sa.Column("strength", sa.String(16), nullable=False),
    sa.Index("console_sessions_user", "user"),
)
"""Who is signed in: by SHA-256 of the cookie's token; times in seconds since 1970."""

tokens = sa.Table(
    "console_tokens",
    metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("id", sa.String(32), nullable=False, unique=True),
    sa.Column("user", sa.String(32), nullable=False),
    sa.Column("name", sa.String(63), nullable=False),
    sa.Column("abilities", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("used", sa.Float, nullable=True),
    sa.Column("until", sa.Float, nullable=False),
    sa.Index("console_tokens_user", "user"),
)
"""Bearer tokens of programs: by SHA-256 of the token."""

attempts = sa.Table(
    "console_attempts",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("key", sa.String(64), nullable=False),
    sa.Column("time", sa.Float, nullable=False),
    sa.Index("console_attempts_key", "key", "time"),
)
"""Failed sign-ins, by a hash of the name or address: they slow down the next ones, also after a restart."""

events = sa.Table(
    "console_events",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("time", sa.String(32), nullable=False),
    sa.Column("user", sa.String(63), nullable=True),
    sa.Column("what", sa.String(63), nullable=False),
    sa.Column("room", sa.String(36), nullable=True),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Index("console_events_room", "room"),
)
"""What people did in the console: sign-ins, signatures, changes. `detail` is JSON without data or secrets."""

asks = sa.Table(
    "console_asks",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("user", sa.String(32), nullable=False),
    sa.Column("room", sa.String(36), nullable=False),
    sa.Column("sql", sa.Text, nullable=False),
    sa.Column("options", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("phases", sa.Text, nullable=False),
    sa.Column("answer", sa.LargeBinary, nullable=True),
    sa.Column("refusal", sa.Text, nullable=True),
    sa.Column("run", sa.String(64), nullable=True),
    sa.Column("created", sa.String(32), nullable=False),
    sa.Column("updated", sa.String(32), nullable=False),
    sa.Index("console_asks_user", "user", "created"),
    sa.Index("console_asks_room", "room", "created"),
)
"""Questions asked here: queued, running, done, refused, failed, cancelled or interrupted."""

drafts = sa.Table(
    "console_drafts",
    metadata,
    sa.Column("room", sa.String(36), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("author", sa.String(63), nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("created", sa.String(32), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
)
"""Versions of agreements that are proposed and not in force yet."""
