# SPDX-License-Identifier: Apache-2.0
"""Low-level doors to the kernels, for researchers and for the protections above. Handle with care.

Nothing here asks a room, a rule or a budget, and nothing keeps its caller from using a key twice,
sending what must stay, or leaving a step of a protocol out. Unaudited.
"""
