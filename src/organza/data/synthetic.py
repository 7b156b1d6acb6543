"""Distributions that are known exactly, drawn anew with a fixed seed: points in the plane, and stacked digits."""

from __future__ import annotations

import numpy as np
import torch

from organza.data.embedded import open_mnist
from organza.data.store import ImageStore, fingerprint

SEEDS = {"train": 0, "test": 1}
COUNTS = {"train": 100_000, "test": 10_000}
STACKED_COUNTS = {"train": 128_000, "test": 10_000}
LICENCE = "made by Organza, public domain (CC0)"


def ring_modes(modes: int = 8, radius: float = 2.0) -> np.ndarray:
    """Centres [modes, 2], evenly spaced on a circle."""
    angle = 2 * np.pi * np.arange(modes) / modes
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def grid_modes(side: int = 5, spacing: float = 2.0) -> np.ndarray:
    """Centres [side * side, 2] of a square lattice around the origin, row by row."""
    line = spacing * (np.arange(side) - (side - 1) / 2)
    return np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)


def open_ring(split: str) -> ImageStore:
    """A mixture of 8 Gaussians on a circle of radius 2, deviation 0.02: float32 [N, 2], label = mode."""
    return _mixture("ring", ring_modes(), 0.02, split)


def open_grid(split: str) -> ImageStore:
    """A mixture of 25 Gaussians on a 5x5 lattice of spacing 2, deviation 0.05: float32 [N, 2], label = mode."""
    return _mixture("grid", grid_modes(), 0.05, split)


def open_spiral(split: str) -> ImageStore:
    """A spiral of two turns and outer radius 2, deviation 0.02, uniform along its length: float32 [N, 2]."""
    random, count = np.random.RandomState(SEEDS[split]), COUNTS[split]
    turn = np.sqrt(random.uniform(0.02, 1, count))  # length grows with the square of the angle
    line = 2 * turn[:, None] * np.stack([np.cos(4 * np.pi * turn), np.sin(4 * np.pi * turn)], axis=1)
    points = torch.from_numpy(line + 0.02 * random.randn(count, 2)).float()
    return ImageStore("spiral", points, licence=LICENCE, fingerprint=fingerprint(points, None))


def open_stacked_mnist(split: str) -> ImageStore:
    """Three random digits as red, green and blue: uint8 [N, 3, 28, 28], label 0..999 reads the digits in that order.

    The 1000-mode test of mode collapse (VEEGAN, arXiv 1705.07761; 128 000 samples as in PacGAN, arXiv 1712.04086).
    """
    digits = open_mnist(split)
    assert digits.labels is not None
    drawn = np.random.RandomState(SEEDS[split]).randint(0, len(digits), (STACKED_COUNTS[split], 3))
    which = torch.from_numpy(drawn)
    images = digits.images[which, 0]
    labels = (digits.labels[which] * torch.tensor([100, 10, 1])).sum(1)
    classes = tuple(f"{label:03d}" for label in range(1000))
    return ImageStore("stacked-mnist", images, labels, classes, (), digits.licence, fingerprint(images, labels))


def _mixture(name: str, centres: np.ndarray, deviation: float, split: str) -> ImageStore:
    random, count = np.random.RandomState(SEEDS[split]), COUNTS[split]  # its stream is frozen across NumPy versions
    mode = random.randint(0, len(centres), count)
    points = torch.from_numpy(centres[mode] + deviation * random.randn(count, 2)).float()
    labels = torch.from_numpy(mode.astype(np.int64))
    classes = tuple(str(i) for i in range(len(centres)))
    return ImageStore(name, points, labels, classes, (), LICENCE, fingerprint(points, labels))
