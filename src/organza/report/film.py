"""A short film of pictures, as a GIF."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from organza.report.grid import grid_image

SECONDS, REST = 4.0, 1.5  # of the film, and of its last picture


def save_gif(frames: Tensor, path: Path, target: Tensor | None = None) -> None:
    """Frames uint8 [F, C, h, w], one after another, beside a target [C, H, W] that does not move."""
    pictures = [_beside(frame, target) for frame in frames]
    pause = round(1000 * SECONDS / len(pictures))
    times = [*[max(pause, 20)] * (len(pictures) - 1), round(1000 * REST)]
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        pictures[0].save(part, "GIF", save_all=True, append_images=pictures[1:], duration=times, loop=0)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _beside(frame: Tensor, target: Tensor | None) -> Image.Image:
    if target is None:
        return _coloured(grid_image(frame[None]))
    still = target[None].float()
    if still.shape[2:] != frame.shape[1:]:
        still = F.interpolate(still, frame.shape[1:], mode="bilinear", antialias=True)
    return _coloured(grid_image(torch.stack([still[0].round().to(torch.uint8), frame]), columns=2))


def _coloured(image: Image.Image) -> Image.Image:
    """A palette of its own for each picture."""
    return Image.fromarray(np.asarray(image.convert("RGB"))).quantize(256)
