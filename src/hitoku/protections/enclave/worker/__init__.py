# SPDX-License-Identifier: Apache-2.0
"""The worker: the one program that sees the rows of several owners together, and is measured for that.

It is started by a launcher that measures every file of it (`hitoku.attestation.launch`), has one way out, its
channel, and trusts nothing that comes in over it: it verifies the room's signatures, checks the question and
the owners' consents itself, asks each owner's broker for keys with fresh evidence, opens the sealed tables in
memory, computes, releases under the plan, seals the answer for its receivers, and ends.
"""
