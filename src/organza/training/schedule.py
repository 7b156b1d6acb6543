"""Values that move with the images seen."""

from __future__ import annotations

import math

from organza.config import Schedule


def value_at(value: float | Schedule, images: int) -> float:
    """The number itself, or where its schedule stands after `images` images."""
    if not isinstance(value, Schedule):
        return value
    way, gone = value.images - value.hold, max(images - value.hold, 0)
    progress = min(gone / way, 1.0) if way > 0 else float(images >= value.images)
    if value.shape == "cosine":
        progress = (1 - math.cos(math.pi * progress)) / 2
    return value.start + (value.end - value.start) * progress


def is_never_zero(value: float | Schedule) -> bool:
    """Whether no number of images makes it 0."""
    return value.start * value.end > 0 if isinstance(value, Schedule) else value != 0


def zero_until(value: float | Schedule) -> int:
    """The images for which a schedule stays at 0 before it moves."""
    return value.hold if isinstance(value, Schedule) and value.start == 0 else 0
