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
MAX_ROOM_FILE_BYTES: Final = 8 * 1024 * 1024
MAX_HISTORY_BYTES: Final = 6 * 1024 * 1024
"""Of all versions in a room's file (`room.history`); a draft on top and more signatures have room, too."""
MIN_VERSION_BYTES: Final = 6 * 1024
"""So much a version counts at least."""
MAX_ROOM_VERSIONS: Final = MAX_HISTORY_BYTES // MIN_VERSION_BYTES
MAX_MEMBERS: Final = 64
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

# --- proposals of a next version of a room, between its members' nodes ---
MAX_PROPOSAL_CHARS: Final = 900_000
"""Of an agreement as JSON. Quoted in a message it has at most twice as many bytes."""
MAX_DRAFTS_AN_HOUR: Final = 60
"""Of one author in one room: so often the draft that others look at may change."""

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

# --- backups (`node.archive`): all of one, its parts, the list of them, a file of the directory, a row ---
MAX_BACKUP_BYTES: Final = 64 * 1024**3
MAX_BACKUP_PARTS: Final = 50_000
MAX_BACKUP_MANIFEST_BYTES: Final = 16 * 1024 * 1024
MAX_BACKUP_FILE_BYTES: Final = 64 * 1024 * 1024
MAX_BACKUP_ROW_BYTES: Final = 512 * 1024 * 1024

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

# --- secret-shared tables (`protections.shares`) ---
MAX_SHARES_ROWS: Final = 1 << 30
"""Rows of one table as they are shared, padding included."""
MAX_SHARES_MANIFEST_BYTES: Final = 1024 * 1024
MAX_SHARES_PART_BYTES: Final = 64 * 1024 * 1024
"""One server's shares of an answer for one receiver."""
MAX_SHARES_LEAVES: Final = 256
"""Columns that an owner shares of one table for one question."""
MAX_SHARES_VALUE_BITS: Final = 126
"""A whole number's magnitude: its sign fits 128 bits too."""
MAX_SHARES_ENTRIES: Final = 1 << 22
"""Texts of one dictionary, padding included."""
MAX_SHARES_TEXT_BYTES: Final = 1024
"""Of a text in a dictionary; a power of two."""
MAX_SHARES_UPLOAD_BYTES: Final = 64 * 1024 * 1024 * 1024
"""The explicit shares of one table."""
SHARES_CHUNK_BYTES: Final = 960 * 1024
"""One chunk of an upload: it must fit a parcel's binary value."""
MAX_SHARES_BRANCHES: Final = 64
MAX_SHARES_HEAD_BYTES: Final = 4 * 1024 * 1024
"""What a server says of its shares of an answer, before them."""
SHARES_CONNECT_SECONDS: Final = 60
"""So long the servers of a run wait for each other."""
MAX_SHARES_RUNS: Final = 8
"""Runs that a server has a part in at the same time."""

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

# --- learning together (`learning`): what the server and the members of a run send each other ---
MAX_LEARNING_MESSAGE_BYTES: Final = 1024 * 1024 * 1024
MAX_LEARNING_HEADER_BYTES: Final = 4 * 1024 * 1024
"""What a message says before its arrays."""
MAX_LEARNING_FEATURES: Final = 4096
"""Inputs of a learned model, those of counters included."""
MAX_LEARNING_ARRAYS: Final = 4096
"""Arrays of one message."""
MAX_LEARNING_DIMENSIONS: Final = 8
MAX_LEARNING_VALUES: Final = 1 << 26
"""Integers of one sum."""
MAX_LEARNING_SEQUENCE: Final = 1 << 52
"""Requests to one member in one run, sessions and rounds: what a count can reach."""
MAX_LEARNING_PURPOSES: Final = 1 << 20
"""Sums that a member remembers by their purpose."""
MAX_LEARNING_LEDGER_BYTES: Final = 1024 * 1024 * 1024
MAX_LEARNING_CURVE_BYTES: Final = 1024 * 1024
"""Of a member's own curve of a run no more is written."""
"""What a member remembers of one run between restarts."""

# --- console: records (ledger, attestation, models, learning, audit) ---
MAX_CONSOLE_LEDGER_LINES: Final = 50
"""Entries on one page."""
MAX_CONSOLE_LEDGER_SCAN: Final = 50_000
"""Entries that one search looks through; the next page goes on from there."""
MAX_CONSOLE_SEARCH_CHARS: Final = 200
MAX_CONSOLE_LEDGER_CHECKS: Final = 32
"""Verifications of ledgers whose outcome is remembered."""
MAX_LEDGER_PROOF_BYTES: Final = 256 * 1024
MAX_LEDGER_EXPORT_LINE_BYTES: Final = 4 * 1024 * 1024
MAX_CONSOLE_PASTE_BYTES: Final = 1 << 20
"""Pasted or uploaded evidence, heads, proofs."""
MAX_CONSOLE_AUDIT_LINES: Final = 100
"""Events on one page."""
MAX_CONSOLE_AUDIT_EXPORT: Final = 100_000
MAX_CONSOLE_LEARNING_RUNS: Final = 200
"""Folders of runs that are listed."""
MAX_CONSOLE_LEARNING_REPORT_BYTES: Final = 16 * 1024 * 1024
MAX_CONSOLE_SCORE_BYTES: Final = 16 * 1024 * 1024
"""A CSV file of rows that are to be scored."""
MAX_CONSOLE_SCORE_ROWS: Final = 100_000
MAX_CONSOLE_TASKS_RUNNING: Final = 8
"""Audits, scorings and the like under way at the same time."""
MAX_CONSOLE_TASKS_EACH: Final = 4
"""The same, of one user."""
MAX_CONSOLE_TASKS: Final = 64
"""Of them, how many are remembered."""

# --- quotas: what one member or user may ask of a node (`[quotas]` in node.toml); bodies of the console ---
QUOTA_RUNS: Final = 32
QUOTA_ASKS: Final = 2_000
QUOTA_USER_RUNS: Final = 3
QUOTA_USER_ASKS: Final = 120
MAX_QUOTA_RUNS: Final = 10_000
MAX_QUOTA_ASKS: Final = 1_000_000
CONSOLE_BODY_BYTES: Final = 16 * 1024 * 1024
MAX_CONSOLE_BODY_BYTES: Final = 1024 * 1024 * 1024

# --- console: tables, rules, budgets ---
MAX_CLEAN_ROOMS_CHARS: Final = 1024 * 1024
"""Of an analysis rule of AWS Clean Rooms that is taken over; AWS allows 100 KB."""
MAX_UPLOAD_BYTES: Final = MAX_CONSOLE_BODY_BYTES
"""Of a table that a browser sends; `[quotas] body_bytes` may allow less."""
MAX_UPLOAD_ROWS: Final = 200_000_000
MAX_UPLOAD_EXPANSION_BYTES: Final = 16 * 1024 * 1024 * 1024
"""What the footer of an uploaded Parquet file may say that its pages become."""
MAX_SHOWN_COLUMNS: Final = 300
"""Of a source, in the form that declares a table; more are declared in a file (`hitoku room table`)."""
MAX_LISTED_SOURCES: Final = 500
LOOK_ROWS: Final = 200_000
"""A profile is of so many rows at most."""
LOOK_SECONDS: Final = 60
LOOK_MEMORY_BYTES: Final = 3 * 1024 * 1024 * 1024
"""Address space of the process that looks into a source; a large part of it is never touched."""
LOOK_DISTINCT: Final = 100_000
MAX_LOOK_BYTES: Final = 8 * 1024 * 1024
MAX_EXAMPLE_QUESTIONS: Final = 40
MAX_EXAMPLE_CHARS: Final = 8_000

# --- console: questions ---
CONSOLE_ASK_THREADS: Final = 4
"""Questions of all users that run at the same time."""
MAX_CONSOLE_ASKS_OPEN: Final = 64
"""Questions of all users that run or wait for their turn."""
MAX_CONSOLE_ASKS_KEPT: Final = 1_000
"""Questions of one user that are kept with their answers: the oldest go first."""
MAX_CONSOLE_ASKS_PAGE: Final = 25
MAX_CONSOLE_PHASES: Final = 200
"""Phases of one question that are written down."""
MAX_CONSOLE_ROWS: Final = 500
"""Rows of an answer on its page; exports have all of them."""
MAX_CONSOLE_STREAMS: Final = 200
"""Pages that are told of progress at the same time; one user has a tenth of them at most."""
CONSOLE_STREAM_SECONDS: Final = 240
"""After this long a stream of progress ends and is opened anew, so that who is signed out gets no more."""
MAX_CONSOLE_JOBS: Final = 200
"""Runs of this node on one page."""

# --- console: who signs in, and what browsers send ---
CONSOLE_STRANGER_BYTES: Final = 64 * 1024
"""A body of somebody who is not signed in."""
CONSOLE_BODY_SECONDS: Final = 600
"""So long a body may take to come."""
CONSOLE_STRANGER_SECONDS: Final = 30
"""The same for a body of somebody who is not signed in."""
CONSOLE_HEAD_SECONDS: Final = 15
"""For the whole head of a request, and for a connection that says nothing."""
CONSOLE_HANDSHAKE_SECONDS: Final = 10.0
"""For the whole TLS handshake."""
CONSOLE_SHUTDOWN_SECONDS: Final = 2.0
"""For the other side's goodbye in TLS."""
CONSOLE_CONNECTIONS: Final = 512
"""Connections to the console; who comes then is told so."""
CONSOLE_CONNECTIONS_EACH: Final = 64
"""The same, of one address that is no proxy's; of IPv6, of one network of 64 bits."""
CONSOLE_CONNECTIONS_SITE: Final = 128
"""The same, of one IPv6 network of 48 bits, which one customer of a provider may have."""
CONSOLE_CONNECTIONS_OTHERS: Final = 448
"""The same, of all addresses but this machine's and proxies' together: the rest is for those."""
CONSOLE_CONNECTIONS_MOST: Final = 640
"""With those that are told so, and those whose TLS handshake is still to end: more are closed at once."""
CONSOLE_FORM_HEAD_BYTES: Final = 64 * 1024
"""Of a form with files: the field `csrf` is within its first bytes."""
MIN_PASSWORD_CHARS: Final = 12
MAX_PASSWORD_CHARS: Final = 256
SESSION_IDLE_SECONDS: Final = 3_600
SESSION_SECONDS: Final = 12 * 3_600
SIGN_IN_SECONDS: Final = 300
"""Between password and one-time code, or between here and the OIDC provider and back."""
FRESH_SIGN_IN_SECONDS: Final = 900
"""So long after its sign-in a user without a password here, who cannot be asked for it, may make a token."""
MAX_SESSIONS_A_USER: Final = 20
MAX_CONSOLE_USERS: Final = 10_000
MAX_TOKENS_A_USER: Final = 50
MAX_TOKEN_DAYS: Final = 366
ATTEMPT_SECONDS: Final = 24 * 3_600
"""So long a failed sign-in slows down the next ones."""
RECOVERY_CODES: Final = 10

# --- console: the API for programs ---
API_AT_ONCE: Final = 16
"""Requests of all users that compute or ask other members (explain, preview, verify, predict, pages that ask
peers) at the same time: of the 40 threads that serve pages, the others stay free."""
API_AT_ONCE_EACH: Final = 4
"""The same, of one user."""
API_LEDGER_ENTRIES: Final = 1_000
"""Entries on one page."""
ASK_ID_CHARS: Final = 32

# --- readiness: with less room than this on the disk, a node says that it is not ready ---
MIN_FREE_BYTES: Final = 256 * 1024 * 1024
