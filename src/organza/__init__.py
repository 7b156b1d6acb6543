"""Organza: train, judge, understand, steer and ship every kind of GAN.

    import organza
    run = organza.train("dcgan", data="mnist", images=200_000)
    gan = organza.load(run.path)
    images = gan.sample(64, seed=0)  # uint8 [64, C, H, W]; image i comes from seed 0 + i

Importing the package does not import torch; the first call of a function does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from organza.api import train
    from organza.data import open_dataset
    from organza.hub import load
    from organza.recipes import RECIPES as recipes  # noqa: N811 (a name for users)

__version__ = "0.1.0"
__all__ = ["load", "open_dataset", "recipes", "train"]

_HOMES = {
    "train": ("organza.api", "train"),
    "load": ("organza.hub", "load"),
    "open_dataset": ("organza.data", "open_dataset"),
    "recipes": ("organza.recipes", "RECIPES"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'organza' has no attribute '{name}'; it has {', '.join(__all__)}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
