# SPDX-License-Identifier: Apache-2.0
"""Every limit hitoku sets on what comes from outside, in one place, so that an auditor reads one page.

Sizes are bytes unless the name says otherwise. Limits of the encrypted-column format are AWS C3R's
(a file that breaks them is refused by AWS's client too); the others are ours.
"""

from __future__ import annotations

from typing import Final

# --- encrypted columns (format limits: AWS C3R 3.x) ---
MIN_SECRET_BYTES: Final = 32
MAX_SECRET_BYTES: Final = 1_024
MAX_HEADER_CHARS: Final = 128
MAX_OUTPUT_COLUMNS: Final = 1_600
MAX_CSV_COLUMNS: Final = 10_000
MAX_PAD_LENGTH: Final = 10_000
MAX_PADDED_BYTES: Final = 12_000
MAX_ENCODED_VALUE_BYTES: Final = 16_383
MAX_SCHEMA_FILE_BYTES: Final = 4 * 1024 * 1024

# --- reading and shuffling tables ---
MAX_CSV_RECORD_BYTES: Final = 16 * 1024 * 1024
BATCH_ROWS: Final = 16_384
MAX_FOLDER_FILES: Final = 10_000
SHUFFLE_BUCKET_BYTES: Final = 3 * 1024 * 1024
SHUFFLE_MAX_BUCKETS: Final = 1_024
SHUFFLE_MEMORY_BYTES: Final = 32 * 1024 * 1024
DISTINCT_MEMORY_BYTES: Final = 24 * 1024 * 1024

# --- opening encrypted sums (`hazmat.group.DiscreteLog`; a step takes about 0.7 microseconds) ---
MAX_LOG_TABLE_BYTES: Final = 256 * 1024 * 1024
MAX_LOG_STEPS: Final = 500_000_000

# --- rooms ---
MAX_ROOM_FILE_BYTES: Final = 4 * 1024 * 1024
MAX_MEMBERS: Final = 64
MAX_ROOM_VERSIONS: Final = 1_000
MAX_TABLES: Final = 250
MAX_TEMPLATES: Final = 250
MAX_ROOM_MODELS: Final = 100
MAX_MODEL_ROWS_PER_DAY: Final = 1_000_000_000
MAX_CLIENT_SPEC_CHARS: Final = 1024 * 1024
MAX_PREDICTION_ROWS: Final = 1_000_000
MAX_KEPT_EVALUATION_KEYS: Final = 4
"""Of one asker and model, at the model's owner."""
MAX_PREDICTION_BYTES: Final = 2 * 1024 * 1024 * 1024
"""Of one request's evaluation keys, encrypted rows, or encrypted scores."""
MAX_TEMPLATE_PARAMETERS: Final = 100
MAX_TABLE_COLUMNS: Final = 1_600
MAX_NAME_CHARS: Final = 63
MAX_DECIMAL_SIDE: Final = 19
MIN_THRESHOLD: Final = 2
MAX_THRESHOLD: Final = 100_000
MAX_ACCESS_BUDGET: Final = 1_000_000
MAX_CLAMP: Final = 10**12
MAX_ROWS_PER_GROUP: Final = 1_000_000
MAX_GROUPS_PER_UNIT: Final = 10_000
MAX_PUBLIC_VALUES: Final = 1_000
MAX_NOISED_CELLS: Final = 10_000
MIN_USERS_NOISE: Final = 10
MAX_USERS_NOISE: Final = 100_000
MAX_RELEASE_INTERVAL_SECONDS: Final = 3_600

# --- invitations into a room ---
MAX_INVITATION_CHARS: Final = 4_096
MAX_INVITATION_HOURS: Final = 24 * 30
MAX_OFFERED_TABLES: Final = 16
MAX_WRONG_SECRETS: Final = 10
"""After so many an invitation ends."""

# --- questions ---
MAX_SQL_CHARS: Final = 100_000
MAX_SQL_NODES: Final = 20_000
MAX_SQL_DEPTH: Final = 200
MAX_TABLES_PER_QUESTION: Final = 15

# --- secondary suppression: beyond these, whole branches are withheld ---
SUPPRESSION_BRANCHES: Final = 32
SUPPRESSION_ATOMS: Final = 50_000
SUPPRESSION_EXACT_CELLS: Final = 60
SUPPRESSION_LARGE_CELLS: Final = 2_000
SUPPRESSION_ROUNDS: Final = 30
SUPPRESSION_TARGETS_AT_ONCE: Final = 8
SUPPRESSION_PROGRAMS: Final = 20_000
SUPPRESSION_SECONDS: Final = 60

# --- the engine ---
ENGINE_MEMORY_BYTES: Final = 4 * 1024 * 1024 * 1024
ENGINE_SECONDS: Final = 600
ENGINE_MAX_RESULT_BYTES: Final = 256 * 1024 * 1024
ENGINE_MAX_RESULT_ROWS: Final = 1_000_000

# --- ledgers ---
MAX_LEDGER_HEAD_BYTES: Final = 4_096
MAX_LEDGER_ENTRY_BYTES: Final = 1024 * 1024

# --- messages between members ---
MAX_MESSAGE_BYTES: Final = 512 * 1024 * 1024
MAX_CONTROL_BYTES: Final = 64 * 1024
MAX_CONTROL_SQL_BYTES: Final = 2 * 1024 * 1024
MAX_CONTROL_REFUSAL_BYTES: Final = 16 * 1024 * 1024
MAX_MESSAGE_DEPTH: Final = 64
MAX_CONTROL_TEXT_CHARS: Final = 4_000
CONSENT_SECONDS: Final = 300
CLOCK_SKEW_SECONDS: Final = 60

# --- parcels: bulk data between two members' nodes, one batch at a time ---
MAX_PARCEL_BATCH_ROWS: Final = 65_536
PARCEL_BATCH_BYTES: Final = 1024 * 1024
"""What one batch should have at most when it is written: what a broken connection costs."""
MAX_PARCEL_METADATA_BYTES: Final = 64 * 1024
MAX_PARCEL_BINARY_BYTES: Final = 1024 * 1024
"""Of a column whose values have no fixed width, in one batch."""
MAX_PARCEL_ROW_BYTES: Final = 4 * 1024
"""Of the columns whose values have a fixed width."""

# --- runs: after this long, a run whose end nobody told counts as released ---
RUN_SECONDS: Final = 1_800

# --- runs of two owners, which outlive their request: how long they may take, and how many parts at once ---
JOB_SECONDS: Final = 6 * 3_600
MAX_PARTS_AT_ONCE: Final = 8
JOB_DAYS: Final = 30

# --- answers that a host keeps to give them again: all rooms together, the oldest are dropped ---
MAX_KEPT_ANSWERS: Final = 1_000
MAX_KEPT_ANSWERS_BYTES: Final = 256 * 1024 * 1024

# --- private cross statistics (`protections.crosstab`) ---
MAX_CROSSTAB_RECORDS: Final = 250_000_000
MAX_CROSSTAB_DUMMIES: Final = 20_000_000
MAX_CROSSTAB_SUMS: Final = 16
MAX_OFFER_BYTES: Final = 1024 * 1024
MAX_RUN_SECRETS_BYTES: Final = 64 * 1024 * 1024
RECORD_SORT_BYTES: Final = 256 * 1024 * 1024

# Attestation: one piece of evidence or endorsement (a TDX event log is the largest), and how many beside it.
MAX_EVIDENCE_BYTES: Final = 1 << 20
MAX_ENDORSEMENTS: Final = 16
MAX_ATTESTED_BLOB_CHARS: Final = 16 * 1024

# Key brokers: how long a challenge can be answered, how many a run may have, of how many refusals the
# evidence is kept, how many refusals of a run go on record, and after how long a run's keys are released
# no more.
CHALLENGE_SECONDS: Final = 60
MAX_CHALLENGES_A_RUN: Final = 1_024
MAX_REFUSED_EVIDENCE_A_RUN: Final = 16
MAX_REFUSALS_A_RUN: Final = 256
KEY_SECONDS: Final = JOB_SECONDS
MAX_CERTIFICATE_BYTES: Final = 64 * 1024 * 1024
"""Of a deletion certificate: evidence of every owner is in it."""
# One sealed piece of intermediate data (`attestation.envelope`).
MAX_ENVELOPE_BYTES: Final = 64 * 1024 * 1024

# --- attestation in an agreement, reference values, policies, results ---
MAX_AUTHORITIES: Final = 32
MAX_AUTHORITY_CHARS: Final = 8 * 1024
MAX_HARDWARE_IDS: Final = 1_000
MAX_ADVISORIES: Final = 100
MAX_REFERENCE_VALUES: Final = 256
MAX_MEASUREMENTS: Final = 40
MAX_MEASUREMENT_VALUES: Final = 32
MAX_REFERENCE_BYTES: Final = 4 * 1024 * 1024
MAX_POLICY_BYTES: Final = 64 * 1024
MAX_POLICY_NODES: Final = 1_000
MAX_POLICY_DEPTH: Final = 16
MAX_EAR_CHARS: Final = 64 * 1024
EVIDENCE_SECONDS: Final = 300
"""How old evidence that tells its own time may be, besides the clocks' skew."""

# Mutual attestation of two nodes: one of its messages, and how long one handshake may take.
MAX_HANDSHAKE_BYTES: Final = 1024 * 1024
HANDSHAKE_SECONDS: Final = 120

# --- the enclave (`protections.enclave`): what the worker takes from its host, and the host from owners ---
MAX_ENCLAVE_ORDER_BYTES: Final = 64 * 1024 * 1024
"""The signed room with all its versions, the question and the consents."""
MAX_ENCLAVE_CALL_BYTES: Final = 4 * 1024 * 1024
"""A message to or from an owner's broker."""
ENCLAVE_CHUNK_BYTES: Final = 960 * 1024
"""What one chunk of a table holds before it is sealed; sealed it must fit a parcel's binary value."""
MAX_ENCLAVE_CHUNKS: Final = 65_536
MAX_ENCLAVE_TABLE_ROWS: Final = 2_000_000_000
MAX_ENCLAVE_HEAD_CHARS: Final = 512 * 1024
"""A table's sealed head in base64: the names and types of its columns."""
MAX_SEALED_ANSWER_BYTES: Final = 384 * 1024 * 1024
MAX_SEALING_KEYS: Final = 1_000
"""One-time keys of a receiver that wait for their answers."""
ENCLAVE_STARTS_AT_ONCE: Final = 2
MAX_HANDSHAKES_A_RUN: Final = 256
MAX_SESSIONS_A_RUN: Final = 4

# --- models for predictions on encrypted inputs (`inference.importing`) ---
MAX_MODEL_BYTES: Final = 256 * 1024 * 1024
"""Of a model's file, and of each file of weights beside it."""
MAX_MODEL_PARTS: Final = 200_000
"""Messages and strings in a model's file: nodes, attributes, tensors, names."""
MAX_MODEL_NODES: Final = 10_000
MAX_MODEL_VALUES: Final = 1 << 25
"""Constants of all layers together."""
MAX_LAYER_VALUES: Final = 1 << 22
"""Values between two layers, for one sample."""
MAX_MODEL_DIMENSIONS: Final = 8
