"""Samples that are no numbers, told before they become bytes, in which NaN is a grey like any other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from organza.config import ConfigError


def broken(samples: Tensor) -> int:
    """How many of the samples [B, ...] hold NaN or infinity."""
    return int((~samples.flatten(1).isfinite().all(1)).sum())


@contextmanager
def broken_rows(generator: nn.Module) -> Iterator[list[int]]:
    """Within it, the broken samples of each batch that the generator makes."""
    counts: list[int] = []
    last = getattr(generator, "synthesis", None)  # which truncation in w calls alone
    last = last if isinstance(last, nn.Module) else generator
    hook = last.register_forward_hook(lambda _, __, made: counts.append(broken(made)))
    try:
        yield counts
    finally:
        hook.remove()


def must_be_finite(count: int, samples: int, name: str) -> None:
    """Raise ConfigError where `count` of the samples are broken."""
    if count:
        raise ConfigError(
            f"{count:,} of {samples:,} samples of {name} hold NaN or infinity: its weights are broken, and a score of "
            "the others says nothing; see what happened with: organza doctor RUN, or judge another model"
        )
