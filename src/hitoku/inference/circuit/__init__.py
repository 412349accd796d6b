# SPDX-License-Identifier: Apache-2.0
"""Circuits: one description of a computation on ciphertexts, walked by many interpreters."""

from hitoku.inference.circuit.builder import Builder, Value
from hitoku.inference.circuit.errors import CircuitError
from hitoku.inference.circuit.node import Node
from hitoku.inference.circuit.program import Program, Release

__all__ = ["Builder", "CircuitError", "Node", "Program", "Release", "Value"]
