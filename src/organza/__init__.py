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
    from organza import recipes
    from organza.api import train
    from organza.data import open_dataset
    from organza.evaluation import evaluate
    from organza.hub import load

__version__ = "0.1.0"
__all__ = ["evaluate", "load", "open_dataset", "recipes", "train"]

_HOMES = {
    "train": ("organza.api", "train"),
    "load": ("organza.hub", "load"),
    "evaluate": ("organza.evaluation", "evaluate"),
    "open_dataset": ("organza.data", "open_dataset"),
    "recipes": ("organza.recipes", None),  # the package: its catalogue is `organza.recipes.RECIPES`
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'organza' has no attribute '{name}'; it has {', '.join(__all__)}")
    home, attribute = _HOMES[name]
    module = importlib.import_module(home)
    return module if attribute is None else getattr(module, attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
