# SPDX-License-Identifier: Apache-2.0
"""Owners share their tables, and servers take the shares."""
