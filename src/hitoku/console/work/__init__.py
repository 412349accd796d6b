# SPDX-License-Identifier: Apache-2.0
"""What the console does, without HTTP: used by the pages and by the API alike."""
