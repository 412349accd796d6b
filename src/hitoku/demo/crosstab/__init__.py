# SPDX-License-Identifier: Apache-2.0
"""The demo of private cross statistics: two companies, two nodes, no row shown."""
