# SPDX-License-Identifier: Apache-2.0
"""Where the demos' nodes listen."""

from __future__ import annotations

from hitoku.demo.crosstab import nodes


def test_no_outgoing_connection_is_given_the_port_of_a_node_that_starts_again() -> None:
    found = nodes._free(20)
    assert len(set(found)) == 20
    assert all(1024 <= port < 32_768 for port in found)  # where Linux begins; others begin higher
