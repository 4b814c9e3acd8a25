"""Makes the C library return large freed blocks of memory to the system immediately."""

from __future__ import annotations

import ctypes
import sys

_MMAP_THRESHOLD = -3
"""`M_MMAP_THRESHOLD` of malloc.h."""
_LARGE = 1_000_000


def return_large_memory() -> None:
    """Makes malloc map every block of a megabyte or more separately, so that it is unmapped when it is freed.

    Does nothing without glibc. By default glibc raises this threshold to 32 MB as large blocks are freed, and then
    keeps freed memory for each thread. Call this when a process begins to serve.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(_MMAP_THRESHOLD, _LARGE)
