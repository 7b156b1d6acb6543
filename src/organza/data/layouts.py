"""Label maps: images whose pixels are numbers of classes, in files of a palette (P) or of grey levels (L).

A network gets them as one plane of zeros and ones for each class. 255 says nothing of a pixel: all its planes are zero.
"""

from __future__ import annotations

from typing import IO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from organza.config import ConfigError
from organza.data.listing import Listing
from organza.data.prepare import Preparation, in_pieces
from organza.data.progress import Progress

UNKNOWN = 255  # of a pixel that belongs to no class
MODES = ("1", "L", "P")
MOST = 254  # classes


def planes(maps: Tensor, classes: int) -> Tensor:
    """Maps uint8 [B, 1, H, W] -> float32 [B, classes, H, W] of zeros and ones."""
    numbers = torch.arange(classes, device=maps.device, dtype=maps.dtype).view(1, -1, 1, 1)
    return (maps == numbers).float().contiguous(memory_format=torch.channels_last)


def read_layout(file: IO[bytes], size: tuple[int, int] | None = None) -> np.ndarray:
    """The numbers uint8 [H, W] in a file; resized to (height, width) by the nearest pixel.

    Raises ConfigError for images of colours, and whatever Pillow raises for a broken file.
    """
    with Image.open(file) as image:
        if image.mode not in MODES:
            raise ConfigError(
                f"has colours ({image.mode}); label maps are images of a palette or of grey levels, whose pixels are "
                "numbers of classes; save it as such, or add --data.layout_classes 0"
            )
        if size is not None and image.size != size[::-1]:
            return np.array(image.resize((size[1], size[0]), Image.Resampling.NEAREST)).astype(np.uint8)
        return np.array(image).astype(np.uint8)


def open_layouts(listing: Listing, classes: int, options: Preparation, progress: Progress) -> Tensor:
    """All maps of a listing, uint8 [N, 1, H, W]. Raises ConfigError with the file for numbers beyond the classes."""
    if not 2 <= classes <= MOST:
        raise ConfigError(f"data.layout_classes is {classes}; it takes 2 to {MOST}, or 0 for images")
    if options.crop != "none":
        raise ConfigError("label maps are resized and not cropped; add --data.crop none")
    found: list[np.ndarray | None] = [None] * len(listing)

    def one(i: int) -> None:
        """Read map `i`."""
        name = listing.entries[i].name
        try:
            with listing.open(i) as file:
                found[i] = read_layout(file, options.resolution)
        except ConfigError as problem:
            raise ConfigError(f"{listing.where}: {name} {problem}") from None
        except OSError as problem:
            raise ConfigError(f"{listing.where}: {name} cannot be read ({problem}); fetch it again") from None

    in_pieces(one, len(listing), "reading label maps", progress)
    maps = [one for one in found if one is not None]
    _must_fit(listing, maps, classes)
    return torch.from_numpy(np.stack(maps)[:, None])


def _must_fit(listing: Listing, maps: list[np.ndarray], classes: int) -> None:
    for entry, one in zip(listing.entries, maps, strict=True):
        if one.shape != maps[0].shape:
            raise ConfigError(
                f"{listing.where}: {entry.name} is {one.shape[1]}x{one.shape[0]} and {listing.entries[0].name} "
                f"{maps[0].shape[1]}x{maps[0].shape[0]}; add --data.resolution {min(maps[0].shape)}"
            )
        wrong = one[(one >= classes) & (one != UNKNOWN)]
        if wrong.size:
            raise ConfigError(
                f"{listing.where}: {entry.name} has class {int(wrong.max())}, but data.layout_classes is {classes} "
                f"(0 to {classes - 1}; 255 says nothing); type --data.layout_classes {int(wrong.max()) + 1}"
            )
