# SPDX-License-Identifier: Apache-2.0
"""Disclosure: the plan, its application, and the only way to an Answer."""
