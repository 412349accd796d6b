# SPDX-License-Identifier: Apache-2.0
"""The words that the random statements of `grammar` use on the room of custom rules."""

from __future__ import annotations

from .grammar import Vocabulary

CUSTOM = Vocabulary(
    tables={
        "people": ["phone", "name_sealed", "region", "city", "age", "vip", "joined", "spend", "score"],
        "lines": ["phone", "email", "tariff", "months", "minutes"],
        "catalog": ["phone", "item", "price", "shelf", "note_sealed"],
        "offers": ["phone", "offer", "price"],
        "visits": ["phone", "age", "region", "day", "amount", "vip", "plan"],
        "clubs": ["member", "club", "fee"],
        "cards": ["phone", "kind"],
        "old": ["phone", "region"],
    },
    dimensions={
        "people": ["region", "city", "joined", "region", "city", "age", "vip"],
        "lines": ["tariff", "months"],
        "catalog": ["item", "price", "shelf"],
        "offers": ["price", "offer"],
        "visits": ["age", "region", "day", "plan"],
        "clubs": ["club", "fee", "member"],
    },
    aggregates={
        "people": [
            "COUNT({0}.phone)",
            "COUNT(DISTINCT {0}.phone)",
            "SUM({0}.spend)",
            "AVG({0}.score)",
            "SUM({0}.age)",
        ],
        "lines": ["COUNT(DISTINCT {0}.phone)", "SUM({0}.minutes)", "AVG({0}.months)"],
        "catalog": ["COUNT({0}.item)", "AVG({0}.price)", "COUNT(*)"],
        "offers": ["SUM({0}.price)", "COUNT(*)"],
        "visits": ["COUNT(DISTINCT {0}.phone)", "SUM({0}.amount)", "AVG({0}.age)"],
        "clubs": ["COUNT(DISTINCT {0}.member)", "SUM({0}.fee)"],
    },
    first=("people", "people", "lines", "catalog", "visits", "clubs"),
    combined={"people": "region", "lines": "tariff", "catalog": "item"},
    counted={"people": "COUNT(DISTINCT phone)", "lines": "COUNT(DISTINCT phone)", "catalog": "COUNT(*)"},
    listing=0.15,
)
