"""Makes the C library give large freed memory back to the system at once."""

from __future__ import annotations

import ctypes
import sys

_MMAP_THRESHOLD = -3
"""`M_MMAP_THRESHOLD` of malloc.h."""
_LARGE = 1_000_000


def return_large_memory() -> None:
    """What takes a megabyte or more is mapped by itself, and unmapped when it is freed. Does nothing but with glibc.

    By itself glibc raises this threshold to 32 MB as large things are freed, and then keeps what they leave behind for
    each thread. Call it when a process begins to serve.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(_MMAP_THRESHOLD, _LARGE)
