# SPDX-License-Identifier: Apache-2.0
"""Protocols that open the sum of members' vectors and nothing else: `masks` and `he`."""
