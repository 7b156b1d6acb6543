"""The preparation that every source can be given on opening: resolution, crop and channels."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from organza.config import ConfigError, closest
from organza.data.pixels import CHANNELS, fit, recolour
from organza.data.progress import Progress

LARGEST = 16_384  # pixels on a side; more is a slip of the keyboard
_AT_ONCE = 64  # images in one piece of work: few enough for a smooth bar, many enough to keep the queue short


@dataclass(frozen=True)
class Preparation:
    """Validated options of `open_dataset`."""

    resolution: tuple[int, int] | None = None  # height, width
    crop: str = "none"
    channels: str = "keep"

    @property
    def changes_nothing(self) -> bool:
        """Whether every option has its default."""
        return self == Preparation()


def preparation(resolution: Any, crop: str, channels: str) -> Preparation:
    """The options, checked. Raises ConfigError with what is allowed."""
    for what, word, allowed in (("crop", crop, ("none", "center")), ("channels", channels, ("keep", *CHANNELS))):
        if word not in allowed:
            raise ConfigError(f"{what} is '{word}'{closest(str(word), allowed)}")
    if resolution is None and crop == "center":
        raise ConfigError(
            "crop is 'center', but no resolution says what to cut to; set one, such as resolution=64 "
            "(command line: --data.resolution 64)"
        )
    return Preparation(None if resolution is None else _resolution(resolution), crop, channels)


def prepare(samples: Tensor, options: Preparation, name: str, progress: Progress) -> Tensor:
    """Images [N, C, H, W] prepared all at once; points [N, D] take no preparation. Raises ConfigError."""
    if options.changes_nothing:
        return samples
    if samples.ndim == 2:
        raise ConfigError(f"{name} holds points, not images; leave out resolution, crop and channels")
    images = samples.numpy()
    if options.channels != "keep" and CHANNELS[options.channels] != images.shape[1]:
        images = _recoloured(images, CHANNELS[options.channels])
    if options.resolution is not None and options.resolution != images.shape[2:]:
        images = _resized(images, options.resolution, options.crop, progress)
    return torch.from_numpy(images)


def in_pieces(work: Callable[[int], None], count: int, what: str, progress: Progress) -> None:
    """Call `work(i)` for every i below count on a pool of threads (Pillow frees the interpreter while it computes)."""

    def piece(start: int) -> None:
        for i in range(start, min(start + _AT_ONCE, count)):
            work(i)

    starts = range(0, count, _AT_ONCE)
    with ThreadPoolExecutor(_threads()) as pool:
        try:
            for start, _ in zip(starts, pool.map(piece, starts), strict=True):
                progress.step(what, min(start + _AT_ONCE, count), count)
        except BaseException:  # Ctrl-C too: do not decode the rest of a large set first
            pool.shutdown(cancel_futures=True)
            raise


def _resolution(value: Any) -> tuple[int, int]:
    sides = (value, value) if isinstance(value, int) else tuple(value) if isinstance(value, (list, tuple)) else ()
    good = all(isinstance(side, int) and not isinstance(side, bool) and 1 <= side <= LARGEST for side in sides)
    if len(sides) != 2 or not good:
        raise ConfigError(f"resolution is {value!r}; it takes one side or (height, width), each from 1 to {LARGEST}")
    return sides[0], sides[1]


def _recoloured(images: np.ndarray, channels: int) -> np.ndarray:
    out = np.empty((len(images), channels, *images.shape[2:]), images.dtype)
    for start in range(0, len(images), 1024):  # bounds the float copies
        part = np.moveaxis(images[start : start + 1024], 1, -1)
        out[start : start + 1024] = np.moveaxis(recolour(part, channels), -1, 1)
    return out


def _resized(images: np.ndarray, resolution: tuple[int, int], crop: str, progress: Progress) -> np.ndarray:
    out = np.empty((*images.shape[:2], *resolution), images.dtype)

    def one(i: int) -> None:
        out[i] = np.moveaxis(fit(np.ascontiguousarray(np.moveaxis(images[i], 0, -1)), resolution, crop), -1, 0)

    in_pieces(one, len(images), "resizing", progress)
    return out


def _threads() -> int:
    return min(16, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
