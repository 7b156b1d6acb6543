"""What the library tells while it works. It never prints: it calls a `Reporter`, and the command line renders it.

A `Reporter` is also an `organza.data.Progress`: it hears of the data before it hears of the training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Reporter(Protocol):
    """Receives what a training run has to say."""

    def plan(self, lines: Sequence[str]) -> None:
        """Before the first step, at most 12 lines: what is trained, on what, what it costs, where results go."""

    def progress(self, images: int, total: int, rate: float, eta: float) -> None:
        """After every step: images seen, of how many, images a second, seconds that are left."""

    def tick(self, images: int, scalars: Mapping[str, float]) -> None:
        """At every log interval: the scalars of `log.jsonl`; with a checkpoint, its scores (`score/NAME`)."""

    def step(self, what: str, done: int, total: int) -> None:
        """While data is fetched or decoded: `done` of `total` parts (0: unknown) of the work `what`."""

    def note(self, message: str) -> None:
        """Something that the user should know: a rollback, a skipped file, where the report is."""

    def close(self) -> None:
        """Nothing more will come."""


class Silent:
    """A reporter for notebooks and tests that want no output."""

    def plan(self, lines: Sequence[str]) -> None:
        """Say nothing."""

    def progress(self, images: int, total: int, rate: float, eta: float) -> None:
        """Say nothing."""

    def tick(self, images: int, scalars: Mapping[str, float]) -> None:
        """Say nothing."""

    def step(self, what: str, done: int, total: int) -> None:
        """Say nothing."""

    def note(self, message: str) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Say nothing."""
