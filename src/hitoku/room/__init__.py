# SPDX-License-Identifier: Apache-2.0
"""The room: agreement, members, rules, signatures."""
