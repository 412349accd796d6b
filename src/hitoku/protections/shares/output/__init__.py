# SPDX-License-Identifier: Apache-2.0
"""Servers hand out their shares of an answer, and receivers put three of them together."""
