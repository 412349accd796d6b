# SPDX-License-Identifier: Apache-2.0
"""`hitoku demo shares`: three servers compute on columns that none of them, and no partner, sees."""
