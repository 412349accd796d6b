# SPDX-License-Identifier: Apache-2.0
"""`hitoku demo predict`: a model predicts on inputs that it never sees in the clear."""
