# SPDX-License-Identifier: Apache-2.0
"""Programs that are measured before they run: what goes into an image, its digest, and the launcher.

`measure` says what a program's digest is; `launch` measures the same files while copying them, extends PCR
12 and runs the copy. Nothing is imported here: the launcher needs a few of the modules and no more.
"""
