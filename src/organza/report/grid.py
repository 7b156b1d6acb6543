"""Samples as one picture: a grid of images, or a scatter plot of points."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor
from torch.nn import functional as F

from organza.data.layouts import hues

GAP = 2  # pixels between two cells
CELL = 48  # pixels of the longer side of a cell, at least
GAP_COLOUR = 136  # a middle grey: visible beside black digits and beside white emoji
SIDE = 448  # pixels of a scatter plot
RADIUS = 2.2  # pixels of a point
REAL_COLOUR = (122, 126, 133)
FAKE_COLOUR = (0, 114, 178)  # Okabe-Ito blue

Limits = tuple[float, float, float, float]
"""Of a plot: left, right, bottom, top."""


def picture(samples: Tensor, real: Tensor | None = None, columns: int | None = None) -> Image.Image:
    """The right picture of samples: a grid of images [N, C, H, W], a scatter plot of points [N, D] over the real ones.

    Raises ValueError for other shapes and for no samples.
    """
    if samples.ndim == 4:
        return grid_image(samples, columns)
    if samples.ndim == 2:
        return scatter_image(samples, real=real)
    raise ValueError(f"samples have the shape {tuple(samples.shape)}; images are [N, C, H, W], points are [N, D]")


def grid_image(images: Tensor, columns: int | None = None) -> Image.Image:
    """Images [N, C, H, W] in rows, in order; small ones are enlarged by a whole factor, cells without one stay grey.

    uint8 is shown as it is, uint16 by its high byte, floats from their least to their greatest value. One channel is
    grey, two are grey and alpha, three RGB, four RGBA; of more, the first three are shown. Transparency is laid over
    a checkerboard. Raises ValueError for another shape, for no images and for `columns` below 1.
    """
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(f"a grid takes images [N, C, H, W] and at least one, not the shape {tuple(images.shape)}")
    if columns is not None and columns < 1:
        raise ValueError(f"columns is {columns}; it takes 1 or more")
    cells = opaque(_uint8(images.detach().cpu().numpy()).transpose(0, 2, 3, 1))
    count, height, width, _ = cells.shape
    factor = max(1, math.ceil(CELL / max(height, width)))
    cells = cells.repeat(factor, axis=1).repeat(factor, axis=2)
    wide = min(count, columns or math.ceil(math.sqrt(count * height / width)))
    return _image(tiled(cells, wide))


def before_after(source: Tensor, made: Tensor, real: Tensor | None, channels: int) -> Image.Image:
    """A row of sources, a row of results below, and a row of counterparts where they are known; all in [-1, 1].

    `channels` are a target's; what has more of them holds two pictures side by side (both ways), B before A in the
    results: these get rows of their own.
    """
    both = made.shape[1] > channels
    halves = [(source[:, : source.shape[1] - channels * both], made[:, :channels], real)]
    if both:
        halves.append((source[:, -channels:], made[:, channels:], None if real is None else real[:, channels:]))
    rows = [row for half in halves for row in half if row is not None]
    return in_rows([row[:, :channels] if row is real else row for row in rows])


def in_rows(rows: Sequence[Tensor]) -> Image.Image:
    """Images in [-1, 1], of any channels and sides, in as many rows; each row is as tall and wide as the largest."""
    height, width = (max(CELL, *(row.shape[side] for row in rows)) for side in (2, 3))
    return grid_image(torch.cat([_as_colours(row, (height, width)) for row in rows]), len(rows[0]))


def _as_colours(images: Tensor, sides: tuple[int, int]) -> Tensor:
    """uint8 [N, 3, *sides] of images in [-1, 1]; of channels beyond RGB, which mark holes, nothing is shown.

    More than five are the planes of a label map, each of which gets a colour.
    """
    images = _painted(images) if images.shape[1] > 5 else images
    images = images[:, :3] if images.shape[1] >= 3 else images[:, :1].expand(-1, 3, -1, -1)
    if tuple(images.shape[2:]) != sides:
        images = F.interpolate(images.float(), sides, mode="nearest")
    return images.float().cpu().mul(127.5).add(128).clamp(0, 255).to(torch.uint8)


def _painted(planes: Tensor) -> Tensor:
    """Planes of zeros and ones [N, K, H, W] -> colours [N, 3, H, W] in [-1, 1]: hues around the circle; 0 is black."""
    return torch.einsum("nkhw,kc->nchw", planes.float().cpu(), 2 * hues(planes.shape[1])) - 1


def scatter_image(
    points: Tensor,
    limits: Limits | None = None,
    background: tuple[int, int, int] | np.ndarray[Any, Any] | None = None,
    *,
    real: Tensor | None = None,
    colour: tuple[int, int, int] = FAKE_COLOUR,
) -> Image.Image:
    """Points [N, D] in colour over the real ones [M, D] in grey; the denser, the darker. Only the first two of D
    dimensions are drawn (of one, the second is 0). `background` is a colour, or a picture [SIDE, SIDE, 3].

    `limits` are those of the real points, else of the points, with a margin and an equal scale. Points that are not
    finite or outside are left out. Raises ValueError for another shape.
    """
    fake = in_plane(points)
    truth = None if real is None else in_plane(real)
    box = limits or limits_of(fake if truth is None or not len(truth) else truth)
    canvas = np.empty((SIDE, SIDE, 3))
    canvas[:] = (255, 255, 255) if background is None else background
    if truth is not None:
        canvas = _paint(canvas, _density(truth, box), REAL_COLOUR, 0.35)
    canvas = _paint(canvas, _density(fake, box), colour, 0.6)
    return Image.fromarray(np.clip(canvas + 0.5, 0, 255).astype(np.uint8))


def save_png(image: Image.Image, path: Path, text: Mapping[str, str] | PngInfo | None = None) -> None:
    """Write a PNG with text chunks (or a provenance mark) so that `path` is either absent, the old file or the whole
    new one."""
    info = _chunks(text or {}) if not isinstance(text, PngInfo) else text
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        image.save(part, format="PNG", pnginfo=info)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _chunks(text: Mapping[str, str]) -> PngInfo:
    info = PngInfo()
    for key, value in text.items():
        info.add_itxt(key, value)
    return info


def _uint8(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return (pixels >> 8).astype(np.uint8)
    values = pixels.astype(np.float64)
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / (high - low or 1.0)
    return (scaled * 255 + 0.5).astype(np.uint8)


def opaque(cells: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Pictures uint8 [N, H, W, C] with C = 1 or 3: transparency over a checkerboard, only three of many channels."""
    channels = cells.shape[3]
    if channels not in (2, 4):
        return cells if channels == 1 else cells[..., :3]
    colour, alpha = cells[..., :-1].astype(np.float32), cells[..., -1:] / np.float32(255)
    rows, columns = np.indices(cells.shape[1:3])
    block = max(2, max(cells.shape[1:3]) // 8)
    board = np.where((rows // block + columns // block) % 2, 214.0, 246.0)[None, :, :, None]
    return (colour * alpha + board * (1 - alpha) + 0.5).astype(np.uint8)


def tiled(cells: np.ndarray[Any, Any], columns: int) -> np.ndarray[Any, Any]:
    """Pictures uint8 [N, H, W, C] in rows of `columns`, with a gap between them, [H', W', C]."""
    count, height, width, channels = cells.shape
    rows = -(-count // columns)
    shape = (rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, channels)
    canvas = np.full(shape, GAP_COLOUR, np.uint8)
    for i, cell in enumerate(cells):
        top, left = (i // columns) * (height + GAP), (i % columns) * (width + GAP)
        canvas[top : top + height, left : left + width] = cell
    return canvas


def _image(canvas: np.ndarray[Any, Any]) -> Image.Image:
    return Image.fromarray(canvas[..., 0] if canvas.shape[2] == 1 else canvas)


def in_plane(points: Tensor) -> np.ndarray[Any, Any]:
    """The finite ones of [N, D] as float64 [N, 2]."""
    if points.ndim != 2 or points.shape[1] == 0:
        raise ValueError(f"a scatter plot takes points [N, D], not the shape {tuple(points.shape)}")
    values = points.detach().cpu().double().numpy()[:, :2]
    if values.shape[1] == 1:
        values = np.concatenate([values, np.zeros_like(values)], axis=1)
    return values[np.isfinite(values).all(axis=1)]


def limits_of(points: np.ndarray[Any, Any]) -> Limits:
    """The square around points [N, 2], with a margin."""
    if not len(points):
        return (-1.0, 1.0, -1.0, 1.0)
    low, high = points.min(axis=0), points.max(axis=0)
    middle = (low + high) / 2
    half = max(float((high - low).max()) * 0.6, float(np.abs(middle).max()) * 1e-6) or 1.0
    return (middle[0] - half, middle[0] + half, middle[1] - half, middle[1] + half)


def _density(points: np.ndarray[Any, Any], box: Limits) -> np.ndarray[Any, Any]:
    """How many antialiased discs cover each pixel, [SIDE, SIDE]."""
    left, right, bottom, top = box
    x = (points[:, 0] - left) / (right - left) * SIDE - 0.5
    y = (top - points[:, 1]) / (top - bottom) * SIDE - 0.5
    inside = (x > -0.5) & (x < SIDE - 0.5) & (y > -0.5) & (y < SIDE - 0.5)
    x, y = x[inside], y[inside]
    reach = math.ceil(RADIUS + 1)
    total = np.zeros((SIDE + 2 * reach, SIDE + 2 * reach))
    column, row = np.rint(x).astype(int), np.rint(y).astype(int)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            cover = np.clip(RADIUS + 0.5 - np.hypot(column + dx - x, row + dy - y), 0, 1)
            np.add.at(total, (row + dy + reach, column + dx + reach), cover)
    return total[reach:-reach, reach:-reach]


def _paint(
    canvas: np.ndarray[Any, Any], density: np.ndarray[Any, Any], colour: tuple[int, int, int], strength: float
) -> np.ndarray[Any, Any]:
    """One disc covers with `strength`, n discs with 1 - (1 - strength)^n."""
    alpha = 1 - (1 - strength) ** density[..., None]
    return canvas * (1 - alpha) + np.array(colour) * alpha
