# SPDX-License-Identifier: Apache-2.0
"""The JSON API, version 1, for programs; same abilities and limits as the pages."""
