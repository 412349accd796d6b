# SPDX-License-Identifier: Apache-2.0
"""How members reach each other: in one process now, over HTTPS between nodes."""
