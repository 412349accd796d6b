# SPDX-License-Identifier: Apache-2.0
"""`hitoku demo learn`: five banks learn to find fraud together; no bank's updates can be read by anybody."""
