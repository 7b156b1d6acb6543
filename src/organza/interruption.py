"""Ctrl-C: work that is asked to stop ends its step and keeps what it has, and imports are not torn."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN = 0.1  # seconds


@contextmanager
def interruptible(ask: Callable[[int], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM call `ask` with their number; a second Ctrl-C raises KeyboardInterrupt at once.

    In another thread than the main one, where Python hears no signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def heard(number: int, frame: object) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True
        ask(number)

    before = {number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def imports_first() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt as ever, but not within an import: there it is heard again a little later.

    Libraries such as torch and NumPy are torn when it strikes while they start: some end the process, some swallow it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def heard(number: int, frame: FrameType | None) -> None:
        if not _importing(frame):
            raise KeyboardInterrupt
        later = threading.Timer(AGAIN, os.kill, (os.getpid(), number))
        later.daemon = True
        later.start()

    before = signal.signal(signal.SIGINT, heard)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
