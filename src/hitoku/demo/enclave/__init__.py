# SPDX-License-Identifier: Apache-2.0
"""`hitoku demo enclave`: the first demo's question, computed in a program that both owners measured."""
