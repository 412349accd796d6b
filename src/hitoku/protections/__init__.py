# SPDX-License-Identifier: Apache-2.0
"""Protections: the ways in which a question can be computed."""
