# SPDX-License-Identifier: Apache-2.0
"""A member's node: its directory, its keys, and the messages it answers."""
