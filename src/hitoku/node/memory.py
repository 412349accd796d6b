# SPDX-License-Identifier: Apache-2.0
"""A node that runs for months gives back to the machine what it no longer uses.

glibc keeps freed memory in up to eight arenas a core, each as large as it ever was: a process whose
threads come and go holds many times what is in use. Few arenas, and a look every minute at what can be given
back, end that (mallopt(3), malloc_trim(3)). On another C library both do nothing.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Final

__all__ = ["few_arenas", "give_back"]

_M_ARENA_MAX: Final = -8
"""The number of this parameter in glibc's malloc.h."""
_ARENAS: Final = 2


def few_arenas() -> bool:
    """Let threads that are started from now on share two arenas. Returns whether the C library has them."""
    library = _library()
    return library is not None and bool(library.mallopt(_M_ARENA_MAX, _ARENAS))


def give_back() -> bool:
    """Give free pages back to the machine. Returns whether there were any."""
    library = _library()
    return library is not None and bool(library.malloc_trim(0))


@cache
def _library() -> ctypes.CDLL | None:
    """The C library of this process where it is glibc; None otherwise."""
    try:
        library = ctypes.CDLL(None)
        library.mallopt.argtypes = [ctypes.c_int, ctypes.c_int]
        library.mallopt.restype = ctypes.c_int
        library.malloc_trim.argtypes = [ctypes.c_size_t]
        library.malloc_trim.restype = ctypes.c_int
        return library if hasattr(library, "gnu_get_libc_version") else None
    except (AttributeError, OSError):
        return None
