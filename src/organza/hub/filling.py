"""A picture with a hole through an inpainting network, and a grey one through a colouriser, of any size and depth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from organza.config import ConfigError
from organza.data.degrade import degradation
from organza.data.pixels import recolour
from organza.data.still import Still, read_still
from organza.draws import Draws
from organza.hub.stills import from_white, over_white
from organza.hub.translator import Translator
from organza.layers.holes import with_hole
from organza.training.batches import to_range

ENDINGS = (".png", ".webp", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg")  # of masks, in the order of looking
EMPTY = "the mask has no hole, as nothing in it is lighter than half: the picture stays as it is"
UNSEEN = "the hole lies where the picture is transparent and stays so: what fills it is not to be seen"
NAMES = ("{}_mask", "{}_mask000", "{}_mask001", "{}")


def must_fill(translator: Translator) -> None:
    """Raise ConfigError for a network that takes no mask beside its picture."""
    if translator.source[0] != translator.shape[0] + 1 or translator.shape[0] not in (1, 3):
        raise ConfigError(
            f"'{translator.recipe or translator.model.name}' fills no holes: it takes {translator.source[0]} channels "
            f"and makes {translator.shape[0]}; take a model of the recipes inpaint or lama"
        )


def must_colour(translator: Translator) -> None:
    """Raise ConfigError for a network that does not make RGB of grey."""
    if (translator.source[0], translator.shape[0]) != (1, 3):
        raise ConfigError(
            f"'{translator.recipe or translator.model.name}' makes {translator.shape[0]} channels of "
            f"{translator.source[0]}, and no colours of grey; take a model of the recipe colorize"
        )


def mask_for(picture: Path, masks: Path) -> Path:
    """The file itself, or that of a folder which belongs to the picture: NAME_mask.png, NAME_mask001.png, NAME.png.

    Raises FileNotFoundError.
    """
    if not masks.is_dir():
        return masks
    for name in NAMES:
        for ending in ENDINGS:
            found = masks / f"{name.format(picture.stem)}{ending}"
            if found.is_file() and found.resolve() != picture.resolve():
                return found
    raise FileNotFoundError(
        f"{picture.name}: no mask in {masks}; it would be {picture.stem}_mask.png, white in the hole"
    )


def read_mask(path: Path) -> Tensor:
    """Bool [1, 1, H, W], true where the picture is lighter than half and not transparent. Raises as `read_still`."""
    still = read_still(path)
    half, light = np.iinfo(still.pixels.dtype).max // 2, recolour(still.pixels.transpose(1, 2, 0), 1)[..., 0]
    shown = still.alpha is None or still.alpha[0] > half  # white may lie hidden below what is erased
    return torch.from_numpy((light > half) & shown)[None, None]


def fill_still(
    translator: Translator, still: Still, mask: Tensor, *, grow: int = 0, feather: int = 0, **how: Any
) -> Still:
    """The picture with its hole filled; outside it every pixel stays, of its depth, and so does transparency.

    The network sees it over white; over white, the hole is what the network made.
    The hole `mask`, bool [1, 1, H, W], grows by `grow` pixels first, which takes away what is left of an object at its
    edge; over `feather` pixels within its edge the result is mixed with the picture. `how` goes to
    `Translator.translate`. Raises ConfigError for another network, a `feather` beyond `grow`, and ValueError for a mask
    of another size.
    """
    must_fill(translator)
    if min(grow, feather) < 0 or feather > grow:
        raise ConfigError(f"feather is {feather} and grow {grow}; both take 0 or more, and feather at most grow")
    if tuple(mask.shape[2:]) != still.size:
        raise ValueError(
            f"the mask has {mask.shape[3]}x{mask.shape[2]} pixels and the picture {still.size[1]}x{still.size[0]}; "
            "make both of one size"
        )
    hole = grown(mask, grow)
    images = to_range(over_white(still, translator.shape[0]))
    made = translator.translate(with_hole(images, hole), **how)
    weight = feathered(hole, feather)
    mixed = _as((weight * made + (1 - weight) * images)[0], still.pixels.dtype)
    mixed = recolour(mixed.transpose(1, 2, 0), len(still.pixels)).transpose(2, 0, 1)
    inside = hole[0].numpy()
    told = EMPTY if not mask.any() else UNSEEN if _is_hidden(mask, still) else None
    return replace(
        still, pixels=np.where(inside, _veiled(mixed, still), still.pixels), notes=still.notes + (told,) * bool(told)
    )


def colour_still(translator: Translator, still: Still, **how: Any) -> Still:
    """The picture in colours, of its depth and transparency; of a coloured one only how light it is, is looked at.

    The network sees it over white; over white, the result is what the network made.
    Raises ConfigError for a network that does not make RGB of grey, and as `Translator.translate`.
    """
    must_colour(translator)
    images = to_range(over_white(still, len(still.pixels)))
    if len(still.pixels) == 3:
        name = translator.degrade if translator.degrade in ("grey", "lightness") else "lightness"
        images = degradation(name).make(images, Draws(torch.zeros(1, dtype=torch.long)))
    made = translator.translate(images, **how)
    return replace(still, pixels=_veiled(_as(made[0], still.pixels.dtype), still), profile=None)


def grown(mask: Tensor, pixels: int) -> Tensor:
    """Bool [1, 1, H, W], true within so many pixels of where it was."""
    return mask if pixels == 0 else F.max_pool2d(mask.float(), 2 * pixels + 1, 1, pixels) > 0


def feathered(hole: Tensor, pixels: int) -> Tensor:
    """[1, 1, H, W]: 0 outside, rising to 1 at so many pixels inside; the border of the picture is no edge."""
    outside = 1 - hole.float()
    rings = [1 - (F.max_pool2d(outside, 2 * r + 1, 1, r) if r else outside) for r in range(pixels + 1)]
    return torch.stack(rings).mean(0)


def _is_hidden(mask: Tensor, still: Still) -> bool:
    """Whether all of the hole is transparent in the picture."""
    return still.alpha is not None and not still.alpha[mask[0].numpy()].any()


def _veiled(made: np.ndarray, still: Still) -> np.ndarray:
    """What was made over white, as it lies behind the transparency of the picture."""
    return made if still.alpha is None else from_white(made, still.alpha)


def _as(values: Tensor, dtype: np.dtype) -> np.ndarray:
    """[-1, 1] -> the whole numbers of the type, rounded."""
    most = float(np.iinfo(dtype).max)
    return (values.double().clamp(-1, 1).add(1).mul(most / 2).add(0.5).floor().clamp(0, most)).numpy().astype(dtype)
