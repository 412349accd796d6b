# SPDX-License-Identifier: Apache-2.0
"""From a network to a circuit: how its values stand in ciphertexts, and who multiplies what where.

`stages` brings a network to linear maps and polynomials; `chain` finds where primes are dropped and how wide
they are; `batch` (one feature a ciphertext, thousands of samples) and `packed` (one sample in few
ciphertexts) write the circuit.
"""
