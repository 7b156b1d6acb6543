"""Label maps: images whose pixels are numbers of classes, in files of a palette (P) or of grey levels (L).

A network gets them as one plane of zeros and ones for each class. 255 says nothing of a pixel: all its planes are zero.
A trained network knows the palette of its files, so that it can read maps that another tool has saved as RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from organza.config import ConfigError
from organza.data.files import left_out, reason
from organza.data.listing import Listing
from organza.data.pixels import strict_pillow
from organza.data.prepare import Preparation, in_pieces
from organza.data.progress import Progress

UNKNOWN = 255  # of a pixel that belongs to no class
MODES = ("1", "L", "P")
MOST = 254  # classes

Palette = tuple[tuple[int, int, int], ...]
"""The colour of each class, and one more for 255 where files have it; empty where files have none, or do not agree."""


@dataclass(frozen=True)
class Layouts:
    """All readable maps of a listing, uint8 [N, 1, H, W], their palette and the names of their files."""

    maps: Tensor
    palette: Palette
    names: tuple[str, ...]


def planes(maps: Tensor, classes: int) -> Tensor:
    """Maps uint8 [B, 1, H, W] -> float32 [B, classes, H, W] of zeros and ones."""
    numbers = torch.arange(classes, device=maps.device, dtype=maps.dtype).view(1, -1, 1, 1)
    return (maps == numbers).float().contiguous(memory_format=torch.channels_last)


def hues(count: int) -> Tensor:
    """`count` colours around the circle, float32 [count, 3] from 0 to 1."""
    turns = torch.arange(count)[:, None] / count + torch.tensor([0.0, 1 / 3, 2 / 3])
    return (1 + (2 * torch.pi * turns).cos()) / 2


def in_colours(numbers: np.ndarray, classes: int, palette: Palette) -> np.ndarray:
    """Numbers of classes uint8 [H, W] -> uint8 [3, H, W] in the colours of their files, or in hues; 255 is black."""
    table = np.zeros((256, 3), np.uint8)
    table[:classes] = np.array(palette[:classes]) if palette else hues(classes).mul(255).round().numpy()
    return np.ascontiguousarray(table[numbers].transpose(2, 0, 1))


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


def read_map(path: Path, classes: int, palette: Palette = ()) -> np.ndarray:
    """The numbers uint8 [H, W] in a file for a network of `classes`: as in training, or RGB in colours of its palette.

    Raises FileNotFoundError, and ValueError with the file's name for what is none and for numbers beyond the classes.
    """
    with path.open("rb") as file:
        try:
            numbers = _by_colour(file, classes, palette) if palette else None
            file.seek(0)
            numbers = read_layout(file) if numbers is None else numbers
        except ConfigError as problem:
            told = str(problem).partition("; save it as such")[0]
            also = ", or in the colours of the training's palette" if palette else ""
            raise ValueError(f"{path.name} {told}; save it as such{also}") from None
        except Exception as problem:  # Pillow's readers raise anything on broken files
            raise ValueError(f"{path.name}: {problem}") from None
    if (wrong := beyond(numbers, classes)) is not None:
        raise ValueError(f"{path.name} has class {wrong}, and this network knows 0 to {classes - 1} (255 says nothing)")
    return numbers


def beyond(numbers: np.ndarray, classes: int) -> int | None:
    """The largest number that is no class, None where all are or say nothing."""
    wrong = numbers[(numbers >= classes) & (numbers != UNKNOWN)]
    return int(wrong.max()) if wrong.size else None


def _by_colour(file: IO[bytes], classes: int, palette: Palette) -> np.ndarray | None:
    """The numbers [H, W] of an RGB file's colours, None for other modes. Raises ValueError for other colours."""
    with Image.open(file) as image:
        if image.mode not in ("RGB", "RGBA"):
            return None
        colours = np.asarray(image.convert("RGB")).astype(np.int64) @ (1 << 16, 1 << 8, 1)
    found = np.full(colours.shape, -1)
    for number, (red, green, blue) in enumerate(palette):
        found[colours == (red << 16) + (green << 8) + blue] = number if number < classes else UNKNOWN
    if (found < 0).any():
        raise ValueError(f"the colour #{int(colours[found < 0][0]):06x} is none of the training's palette; label maps "
                         "are saved without loss and without blending, as PNG")  # fmt: skip
    return found.astype(np.uint8)


def open_layouts(listing: Listing, classes: int, options: Preparation, progress: Progress) -> Layouts:
    """All maps of a listing; broken files are left out and told.

    Raises ConfigError with the file for numbers beyond the classes, and where none can be read.
    """
    if not 2 <= classes <= MOST:
        raise ConfigError(f"data.layout_classes is {classes}; it takes 2 to {MOST}, or 0 for images")
    if options.crop != "none":
        raise ConfigError("label maps are resized and not cropped; add --data.crop none")
    found: dict[int, np.ndarray] = {}
    palettes: dict[int, list[int]] = {}
    reasons: dict[int, str] = {}

    def one(i: int) -> None:
        """Read map `i`, or keep the reason why it cannot be read."""
        name = listing.entries[i].name
        try:
            with listing.open(i) as file:
                numbers = read_layout(file, options.resolution)
                file.seek(0)
                found[i], palettes[i] = numbers, _palette_in(file)
        except ConfigError as problem:
            raise ConfigError(f"{listing.where}: {name} {problem}") from None
        except Exception as problem:  # Pillow's readers raise anything on broken files
            reasons[i] = reason(problem)

    with strict_pillow():
        in_pieces(one, len(listing), "reading label maps", progress)
    told = left_out([(listing.entries[i].name, reasons[i]) for i in sorted(reasons)], len(listing))
    if not found:
        raise ConfigError(f"{listing.where}: {told}; fetch them again")
    if reasons:
        progress.note(told)
    good = sorted(found)
    maps, names = [found[i] for i in good], tuple(listing.entries[i].name for i in good)
    _must_fit(listing.where, names, maps, classes)
    palette = _common([palettes[i] for i in good], maps, classes)
    return Layouts(torch.from_numpy(np.stack(maps)[:, None]), palette, names)


def _palette_in(file: IO[bytes]) -> list[int]:
    with Image.open(file) as image:
        return (image.getpalette("RGB") or []) if image.mode == "P" else []


def _common(palettes: Sequence[list[int]], maps: Sequence[np.ndarray], classes: int) -> Palette:
    """The colours of the classes, and of 255 where a map has it; empty unless all files agree on different ones."""
    colours: dict[int, tuple[int, int, int]] = {}
    for palette, numbers in zip(palettes, maps, strict=True):
        for number in (*range(classes), *([UNKNOWN] if (numbers == UNKNOWN).any() else [])):
            own = tuple(palette[3 * number : 3 * number + 3])
            if own and own != colours.setdefault(number, own):  # type: ignore[arg-type]
                return ()
    found = tuple(colours[number] for number in sorted(colours))
    whole = all(number in colours for number in range(classes)) and len(set(found)) == len(found)
    return found if whole else ()


def _must_fit(where: str, names: Sequence[str], maps: Sequence[np.ndarray], classes: int) -> None:
    for name, one in zip(names, maps, strict=True):
        if one.shape != maps[0].shape:
            raise ConfigError(
                f"{where}: {name} is {one.shape[1]}x{one.shape[0]} and {names[0]} "
                f"{maps[0].shape[1]}x{maps[0].shape[0]}; add --data.resolution {min(maps[0].shape)}"
            )
        if (wrong := beyond(one, classes)) is not None:
            raise ConfigError(
                f"{where}: {name} has class {wrong}, but data.layout_classes is {classes} "
                f"(0 to {classes - 1}; 255 says nothing); type --data.layout_classes {wrong + 1}"
            )
