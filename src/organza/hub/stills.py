"""A picture of any kind through a translator: its colours made those that the network takes, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from organza.config import ConfigError
from organza.data.degrade import degradation
from organza.data.layouts import in_colours, read_map
from organza.data.pixels import recolour
from organza.data.still import Still
from organza.draws import Draws
from organza.hub.translator import Translator
from organza.training.batches import to_bytes, to_range

FILLERS = ("lama", "deepfill")  # whose fourth channel is the hole, in published files too

Alpha = Literal["bilinear", "network"]


def translate_still(translator: Translator, still: Still, alpha: Alpha = "bilinear", **how: Any) -> Still:
    """The picture's translation, of the same depth; `how` goes to `Translator.translate`.

    Grey pictures stay grey where the network gives as many channels as it takes and no style is asked for. Networks of
    1 or 3 channels see the picture over white, as in training, and transparency grows by a bilinear filter, or as a
    grey picture through the network: over white, the result is what the network made. Those of 4 see it with its
    transparency. Raises ConfigError for a network of other channels, and as `translate`.
    """
    made, veil = _through(translator, still, how), still.alpha
    if len(made) == 4:
        made, veil = made[:3], made[3:]
    elif _takes_transparency(translator, how):
        veil = None
    elif veil is not None:
        if made.shape[1:] != still.size:
            quiet = {key: value for key, value in how.items() if key != "told"}
            grown = alpha == "network"
            veil = _grey(_through(translator, Still(veil), quiet)) if grown else _resized(veil, made.shape[1:])
        made = from_white(made, veil)
    profile = still.profile if len(made) == len(still.pixels) else None
    return replace(still, pixels=made, alpha=veil, profile=profile)


def read_layout_still(translator: Translator, path: Path) -> Still:
    """The label map in a file, as the training read its own: numbers of classes [1, H, W]. Raises as `read_map`."""
    return Still(read_map(path, translator.layout_classes, translator.palette)[None])


def layout_shown(translator: Translator, still: Still) -> Still:
    """The label map of `read_layout_still` in the colours of its files."""
    return Still(in_colours(still.pixels[0], translator.layout_classes, translator.palette))


def degraded_still(translator: Translator, still: Still) -> Still:
    """The picture made into what the network was trained to translate. Raises ConfigError where that was not made."""
    if translator.degrade == "none":
        raise ConfigError(f"'{translator.recipe}' was trained on pairs and not on degraded images; leave out --degrade")
    images = to_range(over_white(still, translator.shape[0]))
    made = degradation(translator.degrade).make(images, Draws(torch.zeros(1, dtype=torch.long)))[0]
    return replace(still, pixels=to_bytes(made).numpy(), alpha=None, profile=None)


def style_of_still(translator: Translator, still: Still, reverse: bool = False) -> Tensor:
    """The picture over white as the `style` of `Translator.translate`, float32 [K, H, W] of the size of results."""
    channels, *sides = translator.source if reverse else translator.shape
    images = to_range(over_white(still, channels))
    return F.interpolate(images, sides, mode="bilinear", antialias=True, align_corners=False)[0]


def _through(translator: Translator, still: Still, how: Mapping[str, Any]) -> np.ndarray:
    """[K, H', W'] of the picture; grey for grey where that is what the network is for."""
    takes, pixels = (translator.shape if how.get("reverse") else translator.source)[0], still.pixels
    if len(pixels) == 1 and translator.layout_classes:
        return translator.translate(torch.from_numpy(np.ascontiguousarray(pixels))[None], **how)[0].numpy()
    if len(pixels) == takes > 3:  # planes made of a picture, as bytes
        given = to_range(torch.from_numpy(np.ascontiguousarray(pixels))[None])
        return to_bytes(translator.translate(given, **how))[0].numpy()
    if takes not in (1, 3) and not _takes_transparency(translator, how):
        raise ConfigError(f"this translator takes pictures of {takes} channels; files have 1, 3 or 4")
    made = translator.translate(over_white(still, takes), **how)[0].numpy()
    if len(pixels) == 1 and takes == len(made) == 3 and how.get("style") is None:
        return _grey(made)
    return made


def _takes_transparency(translator: Translator, how: Mapping[str, Any]) -> bool:
    """Whether the network was trained on RGBA, and not on a picture and its hole."""
    (takes, *_), (gives, *_) = translator.source, translator.shape
    if how.get("reverse"):
        takes, gives = gives, takes
    return takes == 4 and (gives == 4 or (translator.degrade == "none" and translator.model.name not in FILLERS))


def from_white(made: np.ndarray, veil: np.ndarray) -> np.ndarray:
    """The colours that are `made` when they lie over white with this transparency."""
    most = np.iinfo(made.dtype).max
    opacity = np.maximum(veil, 1).astype(np.float32) / most
    laid = np.rint(most - (most - made.astype(np.float32)) / opacity).clip(0, most).astype(made.dtype)
    return np.where(veil > 0, laid, made)


def over_white(still: Still, channels: int) -> Tensor:
    """[1, C, H, W] of 1, 3 or 4 channels, transparent places white unless there are 4, as training reads them."""
    wide = recolour(still.planes.transpose(1, 2, 0), channels).transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(wide))[None]


def _grey(planes: np.ndarray) -> np.ndarray:
    """[C, H, W] -> [1, H, W]."""
    return recolour(planes.transpose(1, 2, 0), 1).transpose(2, 0, 1)


def _resized(veil: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    wide: Tensor = torch.from_numpy(veil.astype(np.float32))[None]
    made = F.interpolate(wide, size, mode="bilinear", align_corners=False)[0]
    return made.add(0.5).numpy().astype(veil.dtype)
