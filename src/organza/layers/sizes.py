"""What a translator of images refuses to take: sizes that it cannot halve, classes that it does not know."""

from __future__ import annotations

from torch import Tensor

from organza.config import ConfigError


def must_divide(x: Tensor, multiple: int) -> None:
    """Raise ValueError for images [B, C, H, W] whose sides are no multiples of `multiple`."""
    height, width = x.shape[2:]
    if height % multiple or width % multiple:
        above = [-(-side // multiple) * multiple for side in (height, width)]
        raise ValueError(
            f"images of {height}x{width} do not fit: both sides must be multiples of {multiple}; pad or resize them "
            f"to {above[0]}x{above[1]}"
        )


def must_reach(height: int, width: int, smallest: int, what: str, remedy: str) -> None:
    """Raise ConfigError for images of which a side is below `smallest`; `what` asks for it, `remedy` is to type."""
    if min(height, width) < smallest:
        raise ConfigError(f"images of {height}x{width} are too small for {what}, which needs {smallest}; {remedy}")


def no_classes(paper: str, classes: int) -> None:
    """Raise ConfigError where there are labels that the network would not read."""
    if classes:
        raise ConfigError(f"{paper} reads no labels, but the data has {classes} classes; add --conditional false")


def some_classes(paper: str, classes: int) -> None:
    """Raise ConfigError where the labels are missing that say where to translate to."""
    if not classes:
        raise ConfigError(
            f"{paper} translates between classes, but there are no labels: put the images of each class into a folder "
            "of their own, or type the recipe cyclegan for two sets of images"
        )
