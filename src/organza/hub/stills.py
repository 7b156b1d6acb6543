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

Alpha = Literal["bilinear", "network"]


def translate_still(translator: Translator, still: Still, alpha: Alpha = "bilinear", **how: Any) -> Still:
    """The picture's translation, of the same depth; `how` goes to `Translator.translate`.

    Grey pictures stay grey where the network gives as many channels as it takes and no style is asked for. Transparency
    grows by a bilinear filter, or as a grey picture through the network. Raises ConfigError for a network of other
    channels than 1 or 3, and as `translate`.
    """
    made = _through(translator, still.pixels, how)
    veil = still.alpha
    if veil is not None and made.shape[1:] != still.size:
        quiet = {key: value for key, value in how.items() if key != "told"}
        veil = _through(translator, veil, quiet) if alpha == "network" else _resized(veil, made.shape[1:])
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
    images = to_range(_over_white(still, translator.shape[0]))
    made = degradation(translator.degrade).make(images, Draws(torch.zeros(1, dtype=torch.long)))[0]
    return replace(still, pixels=to_bytes(made).numpy(), alpha=None, profile=None)


def style_of_still(translator: Translator, still: Still, reverse: bool = False) -> Tensor:
    """The picture over white as the `style` of `Translator.translate`, float32 [K, H, W] of the size of results."""
    channels, *sides = translator.source if reverse else translator.shape
    images = to_range(_over_white(still, channels))
    return F.interpolate(images, sides, mode="bilinear", antialias=True, align_corners=False)[0]


def _through(translator: Translator, pixels: np.ndarray, how: Mapping[str, Any]) -> np.ndarray:
    """[C, H, W] -> [K, H', W']; grey for grey where that is what the network is for."""
    takes = (translator.shape if how.get("reverse") else translator.source)[0]
    if len(pixels) == 1 and translator.layout_classes:
        return translator.translate(torch.from_numpy(np.ascontiguousarray(pixels))[None], **how)[0].numpy()
    if len(pixels) == takes > 3:  # planes made of a picture, as bytes
        given = to_range(torch.from_numpy(np.ascontiguousarray(pixels))[None])
        return to_bytes(translator.translate(given, **how))[0].numpy()
    if takes not in (1, 3):
        raise ConfigError(f"this translator takes pictures of {takes} channels; files have 1 or 3 (and transparency)")
    given = recolour(pixels.transpose(1, 2, 0), takes).transpose(2, 0, 1)
    made = translator.translate(torch.from_numpy(np.ascontiguousarray(given))[None], **how)[0].numpy()
    if len(pixels) == 1 and takes == len(made) == 3 and how.get("style") is None:
        return recolour(made.transpose(1, 2, 0), 1).transpose(2, 0, 1)
    return made


def _over_white(still: Still, channels: int) -> Tensor:
    """[1, C, H, W] of so many channels, transparent places white, as training reads them."""
    pixels = still.pixels if still.alpha is None else np.concatenate([still.pixels, still.alpha])
    wide = recolour(pixels.transpose(1, 2, 0), channels).transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(wide))[None]


def _resized(veil: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    wide: Tensor = torch.from_numpy(veil.astype(np.float32))[None]
    made = F.interpolate(wide, size, mode="bilinear", align_corners=False)[0]
    return made.add(0.5).numpy().astype(veil.dtype)
