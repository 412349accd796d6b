# SPDX-License-Identifier: Apache-2.0
"""Examples that are suggested for a rule: such as the room can answer at all."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hitoku.console.work.suggesting import suggested
from hitoku.demo.crosstab.rooms import travel
from hitoku.room.agreement import Agreement


def key() -> str:
    return (
        "ed25519:" + base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()
    )


def test_where_two_owners_compute_together_no_question_of_one_table_is_wanted() -> None:
    data = travel({"airline": key(), "operator": key()})
    for protections, alone in ((["crosstab"], 0), (["crosstab", "tokens"], 2)):
        agreement = Agreement.model_validate({**data, "protections": protections})
        table = agreement.table("travellers")
        assert table is not None
        found = suggested(agreement, table, table.rule)
        accepted = [one.sql for one in found if one.wanted == "accept"]
        assert sum("JOIN" not in sql for sql in accepted) == alone
        assert sum("JOIN" in sql for sql in accepted) == 1
