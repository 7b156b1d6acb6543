"""How long work tells its caller what happens; the library itself prints nothing."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told about long work: the command line draws a bar, a notebook may print, the default is silent."""

    def step(self, what: str, done: int, total: int) -> None:
        """`done` of `total` parts of the work `what` are finished; total is 0 where it is unknown."""
        ...

    def note(self, message: str) -> None:
        """One sentence that the user should read: files left out, a download, labels not understood."""
        ...


class Silent:
    """Tells nobody."""

    def step(self, what: str, done: int, total: int) -> None:
        """Ignored."""

    def note(self, message: str) -> None:
        """Ignored."""


SILENT = Silent()
