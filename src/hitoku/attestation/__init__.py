# SPDX-License-Identifier: Apache-2.0
"""Remote attestation: evidence of what code runs where, verified into claims, appraised, answered by keys.

Roles are those of RFC 9334: an attester makes Evidence, a verifier turns it into Claims, an appraisal
compares these with reference values and a policy, a relying party (here: each owner's key broker) acts on the
result.
"""
