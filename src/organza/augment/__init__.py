"""Differentiable augmentation, on the device, of what the discriminator sees; the catalogue of its words.

A policy is a tuple of words, each an operation, a group of them or the same with a share of the probability:

    ("bgc",)                            ADA's usual set: blit, geom, color-ada (organza.augment.ada); its others are
                                        bg, bgcf with filter, bgcfn with noise as well, bgcfnc with cutout as well
    ("blit", "geom", "brightness:0.5")  brightness acts with half the probability of the others
    ("diffaugment",)                    DiffAugment: color, translation, cutout-half (organza.augment.diffaugment)

Operations act in the order of the catalogue, which is the papers', whatever the order of the words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

import torch
from torch import Tensor

from organza.augment import ada, diffaugment
from organza.augment.chance import Probability
from organza.augment.warp import blitted, warped
from organza.config import ConfigError, closest
from organza.draws import Draws

Augmentation = Callable[[Tensor, Draws, Probability], Tensor]
"""Images [B, C, H, W] in [-1, 1], draws for B samples, probability -> images [B, C, H, W], perhaps beyond [-1, 1]."""


Execute = Callable[[Tensor, list[Tensor]], Tensor]
"""Images, the matrices [B, N, N] of operations that follow each other -> images."""


@dataclass(frozen=True)
class Operation:
    """A random change: the changed images, or a matrix that `execute` applies together with its neighbours'."""

    act: Augmentation
    execute: Execute | None = None
    share: float = 1.0  # of the probability


AUGMENTATIONS: dict[str, Operation] = {
    "xflip": Operation(ada.xflip, blitted),
    "rotate90": Operation(ada.rotate90, blitted),
    "xint": Operation(ada.xint, blitted),
    "scale": Operation(ada.scale, warped),
    "rotate-before": Operation(ada.rotate_before, warped),
    "aniso": Operation(ada.aniso, warped),
    "rotate-after": Operation(ada.rotate_after, warped),
    "xfrac": Operation(ada.xfrac, warped),
    "brightness": Operation(ada.brightness, ada.coloured),
    "contrast": Operation(ada.contrast, ada.coloured),
    "lumaflip": Operation(ada.lumaflip, ada.coloured),
    "hue": Operation(ada.hue, ada.coloured),
    "saturation": Operation(ada.saturation, ada.coloured),
    "filter": Operation(ada.filtered),
    "noise": Operation(ada.noise),
    "cutout": Operation(ada.cutout),
    "color": Operation(diffaugment.color),
    "translation": Operation(diffaugment.translation),
    "cutout-half": Operation(diffaugment.cutout_half),
    "cutout-fifth": Operation(diffaugment.cutout_fifth),
}

_BLIT = ("xflip", "rotate90", "xint")
_GEOM = ("scale", "rotate-before", "aniso", "rotate-after", "xfrac")
_COLOR = ("brightness", "contrast", "lumaflip", "hue", "saturation")

GROUPS: dict[str, tuple[str, ...]] = {
    "rotate": ("rotate-before", "rotate-after"),
    "blit": _BLIT,
    "geom": _GEOM,
    "color-ada": _COLOR,
    "bg": _BLIT + _GEOM,
    "bgc": _BLIT + _GEOM + _COLOR,
    "bgcf": (*_BLIT, *_GEOM, *_COLOR, "filter"),
    "bgcfn": (*_BLIT, *_GEOM, *_COLOR, "filter", "noise"),
    "bgcfnc": (*_BLIT, *_GEOM, *_COLOR, "filter", "noise", "cutout"),
    "diffaugment": ("color", "translation", "cutout-half"),
}


def augmentation(policy: tuple[str, ...]) -> Augmentation:
    """The function that a policy describes; a sample's draws decide what happens to it, whatever its batch.

    The probability is a number or a 0-d tensor on the images' device, from 0 to 1. The function can be differentiated
    twice, computes in the images' precision whatever the autocast, and raises ConfigError for points [B, D].
    Raises ConfigError for an unknown word, for one that comes twice and for a share that is not in (0, 1].
    """
    shares = _shares(policy)
    chosen = {name: replace(AUGMENTATIONS[name], share=shares[name]) for name in AUGMENTATIONS if name in shares}
    if "xint" in chosen and any(operation.execute is warped for operation in chosen.values()):
        # Moving first and then mirroring the rest of the geometry at the new border would lose what left the image.
        chosen["xint"] = replace(chosen["xint"], execute=warped)
    steps = [(execute, tuple(group)) for execute, group in groupby(chosen.values(), lambda o: o.execute)]
    return partial(_augmented, steps)


def _augmented(
    steps: list[tuple[Execute | None, tuple[Operation, ...]]], images: Tensor, draws: Draws, probability: Probability
) -> Tensor:
    if images.ndim != 4:
        raise ConfigError(f"augmentation takes images, not samples of shape {tuple(images.shape[1:])}; leave it out")
    with torch.autocast(images.device.type, enabled=False):
        for execute, operations in steps:
            if execute is None:
                for operation in operations:
                    images = operation.act(images, draws, probability * operation.share)
            else:
                images = execute(images, [o.act(images, draws, probability * o.share) for o in operations])
    return images


def _shares(policy: tuple[str, ...]) -> dict[str, float]:
    """Of each operation that the words name."""
    shares: dict[str, float] = {}
    for word in policy:
        name, _, share = word.partition(":")
        if name not in AUGMENTATIONS and name not in GROUPS:
            raise ConfigError(f"augment is '{name}'{closest(name, (*AUGMENTATIONS, *GROUPS))}")
        for operation in GROUPS.get(name, (name,)):
            if operation in shares:
                raise ConfigError(f"augment has '{operation}' twice: in '{word}' and before it; name it once")
            shares[operation] = _share(word, share)
    return shares


def _share(word: str, text: str) -> float:
    try:
        share = float(text) if ":" in word else 1.0
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise ConfigError(f"augment is '{word}'; after the colon stands a number above 0, 1 at most: brightness:0.5")
    return share
