# SPDX-License-Identifier: Apache-2.0
"""Demonstrations: real data, real protections, told step by step, checking themselves."""
