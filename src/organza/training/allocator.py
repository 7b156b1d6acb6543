"""The C library's memory, set for training: freed blocks are kept for the next step and not given back each time."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


def keep_freed_memory() -> bool:
    """Let glibc reuse large blocks; whether it could be told (Linux with glibc).

    By default every activation above 32 MB is mapped anew, and the system zeroes its pages in every step: about a
    seventh of a convolutional generator's pass in a trial on one thread (253 and 236 ms without, 207 and 205 with).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    settings = ((M_MMAP_THRESHOLD, 1 << 30), (M_TRIM_THRESHOLD, (1 << 31) - 1), (M_TOP_PAD, 1 << 26))
    return all([mallopt(name, value) == 1 for name, value in settings])
