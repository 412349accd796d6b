# SPDX-License-Identifier: Apache-2.0
"""Small compiled models with a client and a server, made once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from tests.unit.inference.layouts.nets import picture, samples, table

from hitoku.inference.client import Client
from hitoku.inference.compiler import compile  # noqa: A004 - the name users look for
from hitoku.inference.network import Network
from hitoku.inference.plan import Plan
from hitoku.inference.server import Server

Objective = Literal["throughput", "latency"]


@dataclass(frozen=True)
class Served:
    """A model on both sides."""

    network: Network
    x: np.ndarray[Any, Any]
    plan: Plan
    client: Client
    server: Server
    keys: bytes


@cache
def served(name: Literal["table", "picture"], objective: Objective) -> Served:
    """A compiled model."""
    network = table(1) if name == "table" else picture(4)
    x = samples(network, 200)
    plan = compile(network, x, objective, 0.02)
    client = Client(plan.client)
    return Served(network, x, plan, client, Server(plan), client.keys())
