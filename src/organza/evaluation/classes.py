"""Samples of a class beside the reals of the same class, by its name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from organza.config import ConfigError
from organza.evaluation.evidence import Evidence

LEAST = 20  # of each class


def rows_of_classes(seen: Evidence) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Each class of the fakes: its name, and int64 rows of reals and of fakes.

    Raises ConfigError for sides without classes, of other classes, and with fewer than LEAST of one.
    """
    real, fake, names = seen.real.labels, seen.fake.labels, seen.fake.classes
    if real is None or fake is None or not names:
        raise ConfigError("fd-per-class needs labels on both sides: a conditional GAN and labelled data")
    if real.dim() == 2:
        raise ConfigError("fd-per-class needs one class for each image, and these have attributes; leave it out")
    for number, (name, of_real) in enumerate(zip(names, _same_classes(names, seen.real.classes), strict=True)):
        rows = (real == of_real).nonzero().flatten(), (fake == number).nonzero().flatten()
        if min(map(len, rows)) < LEAST:
            raise ConfigError(
                f"class '{name}' has {len(rows[0])} real and {len(rows[1])} fake samples; fd-per-class needs at least "
                f"{LEAST} of each: --samples {LEAST * len(names)}"
            )
        yield name, *rows


def _same_classes(fake: Sequence[str], real: Sequence[str]) -> list[int]:
    """For each class of the fakes the label of the same of the reals, by name; by place where names are numbers."""
    if set(fake) <= set(real):
        return [real.index(name) for name in fake]
    if len(fake) == len(real) and tuple(map(str, range(len(fake)))) in (tuple(fake), tuple(real)):
        return list(range(len(fake)))
    raise ConfigError(
        f"fd-per-class compares classes of the same name, but fakes have {_first(fake)}, and reals have {_first(real)};"
        " give both the same names, or leave fd-per-class out"
    )


def _first(names: Sequence[str]) -> str:
    told = ", ".join(f"'{name}'" for name in names[:3])
    return told if len(names) <= 3 else f"{told} and {len(names) - 3} more"
