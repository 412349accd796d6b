# SPDX-License-Identifier: Apache-2.0
"""TPM 2.0 as bytes: structures, the way to a device, and the few commands that attestation needs.

Nothing but the standard library, so that a launcher and a measured worker can use it without carrying more.
Names and numbers are those of the TCG's Trusted Platform Module Library, parts 2 (structures) and 3
(commands).
"""
