# SPDX-License-Identifier: Apache-2.0
"""The asker who knows all but one person, against noise and against thresholds."""
