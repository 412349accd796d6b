# SPDX-License-Identifier: Apache-2.0
"""`python benchmarks/peers NAME N`: one measurement as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers import measure

if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2])), indent=1))
