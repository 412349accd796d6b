# SPDX-License-Identifier: Apache-2.0
"""Interpreters of circuits: each walks the operations once and finds one thing out."""
