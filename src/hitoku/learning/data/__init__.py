# SPDX-License-Identifier: Apache-2.0
"""Rows for learning: members' own tables, a simulator, and real data sets that a user may fetch."""
