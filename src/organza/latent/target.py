"""The picture that is projected: read, and made to fit the generator's samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from organza.config import ConfigError, Shape
from organza.data.pixels import decode, fit, recolour, strict_pillow
from organza.data.progress import Progress
from organza.training.batches import to_range

NAMES = {1: "grey", 3: "RGB", 4: "RGBA"}


def target_of(image: str | Path | Tensor, shape: Shape, progress: Progress) -> Tensor:
    """A file, uint8 or uint16 [C, H, W], or float32 in [-1, 1] of the samples' shape -> float32 [1, *shape] in [-1, 1].

    Another size is cut at the centre to the samples' aspect, then resized; other channels are converted; `progress` is
    told of both. Raises FileNotFoundError and ConfigError.
    """
    if isinstance(image, Tensor):
        return _of_tensor(image, shape, progress, "the picture")
    if len(shape) != 3:
        raise ConfigError(
            f"samples of this GAN are points of {shape[0]} numbers, not pictures; in Python, give the point as a tensor"
        )
    path = Path(image).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"no picture '{path}'; give a PNG, JPEG, WebP or another file that Pillow reads")
    try:
        with strict_pillow(), path.open("rb") as file:
            pixels = decode(file)
    except Exception as problem:  # whatever Pillow makes of foreign bytes
        raise ConfigError(f"'{path}' cannot be read as a picture: {problem!r:.200}") from None
    return _fitted(pixels, shape, progress, path.name)


def _of_tensor(image: Tensor, shape: Shape, progress: Progress, name: str) -> Tensor:
    if image.is_floating_point():
        if tuple(image.shape) != tuple(shape):
            raise ConfigError(f"{name} is float32 {list(image.shape)}; it must have the samples' shape {list(shape)}")
        if not image.isfinite().all():
            raise ConfigError(f"{name} has NaN or infinite values")
        return image.detach().float()[None]
    if image.dim() != 3 or image.dtype not in (torch.uint8, torch.uint16) or len(shape) != 3:
        raise ConfigError(
            f"{name} is {image.dtype} {list(image.shape)}; it takes uint8 [C, H, W], or float32 {list(shape)}"
        )
    return _fitted(np.moveaxis(image.cpu().numpy(), 0, -1), shape, progress, name)


def _fitted(pixels: np.ndarray, shape: Shape, progress: Progress, name: str) -> Tensor:
    """Pixels [H, W, C] as a sample, and what was changed."""
    channels, height, width = shape
    if not np.isfinite(pixels).all():
        raise ConfigError(f"{name} has NaN or infinite values")
    if pixels.dtype == np.float32:  # a TIFF, whose range is its own
        span = float(pixels.max() - pixels.min()) or 1.0
        pixels = np.rint((pixels - pixels.min()) / span * 255).astype(np.uint8)
    changes, have = [], pixels.shape
    if have[2] != channels:
        if channels not in NAMES or have[2] not in NAMES:
            raise ConfigError(f"{name} has {have[2]} channels, and samples of this GAN have {channels}")
        pixels = recolour(pixels, channels)
        changes.append(f"made {NAMES[channels]} of {NAMES[have[2]]}")
    if have[:2] != (height, width):
        cut = have[0] * width != have[1] * height
        pixels = fit(np.ascontiguousarray(pixels), (height, width), "center")
        changes.append(f"{'cut at the centre and ' if cut else ''}resized to {width}x{height}")
    if changes:
        progress.note(f"{name} ({have[1]}x{have[0]}) was {' and '.join(changes)}, as the samples of this GAN are")
    array = torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, 0)))[None]
    return to_range(array).contiguous()
