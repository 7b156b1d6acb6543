"""All pairs of two sets of features, block by block: the products that kernels and distances are made of.

One matrix product for each block serves every metric that looks at it; no N x N matrix is ever whole. Features are
moved by a common centre first, which changes no distance and keeps the digits that a large mean would take. Products
are in the type of the features, float32 or float64, and never in TF32; the sums of all blocks are in float64.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from organza.config import ConfigError
from organza.data.progress import SILENT, Progress
from organza.training.precision import full_precision

BLOCK = 768
TOGETHER = 4  # blocks of rows that meet a block of columns while it is centred
REFINE = 2**22  # numbers of the differences that are in memory at once

Visitor = Callable[[slice, slice, Tensor], None]
"""Called with rows, columns and the products [rows, columns] of the centred points, which it must not change."""


def blocks(count: int) -> Iterator[slice]:
    """Slices of at most `BLOCK` rows."""
    return (slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK))


class Scratch:
    """Room for the numbers of one block, used again for the next: to fetch fresh memory costs more than to fill it."""

    room: Tensor | None = None

    def of(self, rows: int, columns: int, like: Tensor) -> Tensor:
        """Contiguous [rows, columns] with anything in it, of the type and on the device of `like`."""
        if self.room is None or self.room.numel() < rows * columns:
            self.room = like.new_empty(rows * columns)
        return self.room[: rows * columns].view(rows, columns)


class Points:
    """Features [N, D] seen from a centre [D]."""

    def __init__(self, features: Tensor, centre: Tensor) -> None:
        self.features, self.centre, self.scratch = features, centre, Scratch()
        self.squares = torch.cat([self[rows].square_().sum(1) for rows in blocks(len(features))])  # |x - centre|^2
        most, tiny = float(self.squares.amax()) if len(features) else 0.0, torch.finfo(features.dtype).smallest_normal
        vanish = most < 1e6 * tiny and any(bool(self[rows].any()) for rows in blocks(len(features)))
        if vanish or not math.isfinite(most):  # below, squares are 0 or have few digits; NaN spreads
            kind, what = str(features.dtype).removeprefix("torch."), "multiply" if vanish else "divide"
            raise ConfigError(f"squared distances of the features leave the range of {kind}; {what} both by one number")

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        """Centred rows."""
        return self.features[rows] - self.centre


def centre_of(features: Tensor) -> Tensor:
    """The mean [D], summed in float64 but no copy of all features in it."""
    total = torch.stack([features[rows].sum(0, dtype=torch.float64) for rows in blocks(len(features))]).sum(0)
    return (total / len(features)).to(features.dtype)


def seen_from_their_centre(real: Tensor, fake: Tensor) -> tuple[Points, Points]:
    """Both from the mean of the reals."""
    centre = centre_of(real)
    return Points(real, centre), Points(fake, centre)


def scan(one: Points, two: Points, visitors: Sequence[Visitor], what: str, progress: Progress = SILENT) -> None:
    """Show every block of products to the visitors; of a set with itself (one is two) those with columns >= rows."""
    room, moved, held = Scratch(), Scratch(), list(blocks(len(one)))
    with full_precision():
        for done in range(0, len(held), TOGETHER):
            left = [(rows, one[rows]) for rows in held[done : done + TOGETHER]]
            for columns in blocks(len(two)):
                right = two.features[columns]
                right = torch.sub(right, two.centre, out=moved.of(*right.shape, like=right))
                for rows, points in left:
                    if one is two and columns.start < rows.start:
                        continue
                    products = _products(points, right, room)
                    for visitor in visitors:
                        visitor(rows, columns, products)
            progress.step(what, min(done + TOGETHER, len(held)), len(held))


def _products(one: Tensor, two: Tensor, room: Scratch) -> Tensor:
    """All x . y of rows [M, D] and [N, D].

    On an x86 processor float32 goes through a 1x1 convolution, which is oneDNN's: the other library behind `mm` runs at
    half the speed of processors that are not of its maker, and no quicker on the others.
    """
    if _is_quicker_convolved(one):
        pixels = one.view(1, len(one), 1, -1).permute(0, 3, 1, 2)  # one picture of M x 1, channels last: no copy
        return functional.conv2d(pixels, two.view(*two.shape, 1, 1))[0, :, :, 0].T
    return torch.mm(one, two.T, out=room.of(len(one), len(two), like=one))


def _is_quicker_convolved(points: Tensor) -> bool:
    on_x86 = points.device.type == "cpu" and platform.machine().lower() in ("x86_64", "amd64")
    return on_x86 and points.dtype == torch.float32 and torch.backends.mkldnn.is_available()


def squared_distances(one: Points, two: Points, rows: slice, columns: slice, products: Tensor) -> Tensor:
    """|x|^2 + |y|^2 - 2 x.y; where it loses its digits, between near points, |x - y|^2 itself. Good until the next."""
    room = one.scratch.of(*products.shape, like=products)
    sizes = one.squares[rows, None], two.squares[columns]
    squares = torch.add(sizes[1], products, alpha=-2, out=room).add_(sizes[0])
    share = 1e-4 if squares.dtype == torch.float32 else 1e-9
    if float(squares.amin()) >= share * float(sizes[0].amax() + sizes[1].amax()):
        return squares  # none is near
    near = squares < (sizes[0] + sizes[1]).mul_(share)
    if (count := int(near.sum())) > near.numel() // 8:  # collapsed samples: all of them
        return torch.cdist(one[rows], two[columns], compute_mode="donot_use_mm_for_euclid_dist").square()
    if count:
        part = max(1, REFINE // one.features.shape[1])
        at_rows, at_columns = near.nonzero(as_tuple=True)
        for i, j in zip(at_rows.split(part), at_columns.split(part), strict=True):
            difference = one.features[i + rows.start] - two.features[j + columns.start]
            squares[i, j] = difference.square().sum(1)
    return squares
