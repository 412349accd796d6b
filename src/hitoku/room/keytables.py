# SPDX-License-Identifier: Apache-2.0
"""The tables of a key broker: which data keys it holds, what it asked workers, and what it decided.

No key is in them in clear: `wrapped` is sealed under the broker's own key (`hitoku.attestation.keystore`),
and is gone once the key is revoked or deleted.
"""

from __future__ import annotations

import sqlalchemy as sa

from hitoku.room.schema import metadata

__all__ = ["challenges", "epochs", "evidence", "keys", "releases", "tombstones"]

keys = sa.Table(
    "broker_keys",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("room", sa.String(36), nullable=False),
    sa.Column("run", sa.String(32), nullable=False),
    sa.Column("table", sa.String(63), nullable=False),
    sa.Column("host", sa.String(63), nullable=False),
    sa.Column("workers", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("wrapped", sa.LargeBinary, nullable=True),
    sa.Column("created", sa.String(32), nullable=False),
    sa.UniqueConstraint("room", "run", "table", name="broker_keys_of_run"),
)
"""Data keys: one a table and run, for one host, for so many workers."""

challenges = sa.Table(
    "broker_challenges",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("room", sa.String(36), nullable=False),
    sa.Column("run", sa.String(32), nullable=False),
    sa.Column("host", sa.String(63), nullable=False),
    sa.Column("nonce", sa.LargeBinary(32), nullable=False),
    sa.Column("keys", sa.LargeBinary, nullable=False),
    sa.Column("activated", sa.LargeBinary(32), nullable=True),
    sa.Column("identity", sa.LargeBinary(32), nullable=True),
    sa.Column("expires", sa.String(32), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Index("broker_challenges_of_run", "room", "run"),
)
"""Challenges: open, or used. Of a TPM also hashes of what only it can have found in the credential, and of
the endorsement and attestation key for which that was made."""

releases = sa.Table(
    "broker_releases",
    metadata,
    sa.Column("key", sa.String(32), primary_key=True),
    sa.Column("worker", sa.String(64), primary_key=True),
    sa.Column("challenge", sa.String(32), nullable=False),
    sa.Column("facts", sa.LargeBinary, nullable=False),
)
"""To which workers a key was released, by the keys that sign their statements of deletion."""

evidence = sa.Table(
    "broker_evidence",
    metadata,
    sa.Column("room", sa.String(36), primary_key=True),
    sa.Column("hash", sa.String(71), primary_key=True),
    sa.Column("run", sa.String(32), nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("ear", sa.LargeBinary, nullable=True),
    sa.Index("broker_evidence_of_run", "room", "run"),
)
"""Evidence by its hash, as ledgers name it, with the result of its appraisal where it was accepted."""

tombstones = sa.Table(
    "broker_tombstones",
    metadata,
    sa.Column("room", sa.String(36), primary_key=True),
    sa.Column("run", sa.String(32), primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
)
"""Signed tombstones, and where they stand in the ledger."""

epochs = sa.Table(
    "broker_epochs",
    metadata,
    sa.Column("name", sa.String(16), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)
"""How many decisions the broker has taken that must never be undone (`hitoku.attestation.epoch`); one row."""
