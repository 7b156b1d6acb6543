"""Move pixels by one affine matrix per sample: exactly where it is a permutation, through wavelets where it is not.

A matrix [B, 3, 3] is the inverse transformation: it takes a place (x, y, 1) of the output to the place of the input
that is seen there, in pixels from the centre of the image. Beyond its border an image is mirrored at the centres of
the outermost pixels, however far a matrix looks.

Both functions are linear in the images and can be differentiated any number of times.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from organza.augment.wavelets import DELAY, OVERHANG, doubling, halving, period


def blitted(images: Tensor, inverses: Sequence[Tensor]) -> Tensor:
    """Images [B, C, H, W] -> [B, C, H, W]: each pixel is a copy of one, for quarter turns and whole steps.

    Images that are not square keep their canvas: a quarter turn shows their middle and mirrors the rest, half a pixel
    off where H - W is odd.
    """
    height, width = images.shape[2:]
    x, y = _places(_pixels(width, images), _pixels(height, images), reduce(product, inverses))
    columns = (x + width / 2).floor().long()  # half a pixel and half of (W - 1): rounded, halves upwards
    rows = (y + height / 2).floor().long()
    return gathered(images, mirrored(rows, height), mirrored(columns, width))


def warped(images: Tensor, inverses: Sequence[Tensor]) -> Tensor:
    """Images [B, C, H, W] -> [B, C, H, W]: doubled, looked up between pixels, halved (arXiv:2006.06676, appendix B).

    The mirrored image repeats itself, and one period of it is all that any displacement can ask for. It is about
    2H x 2W, before doubling, whatever the matrices are: no margin has to be read from them.
    """
    height, width = images.shape[2:]
    options = images.dtype, images.device
    larger = doubling(height, *options) @ images @ doubling(width, *options).T
    x, y = _places(_samples(width, images), _samples(height, images), reduce(product, inverses))
    grid = torch.stack([_index(x, width), _index(y, height)], -1)  # [B, 2H + OVERHANG, 2W + OVERHANG, 2]
    return halving(height, *options) @ _Lookup.apply(larger, grid) @ halving(width, *options).T


def product(a: Tensor, b: Tensor) -> Tensor:
    """The matrix product of [B, N, N] and [B, N, N]; never in TF32, which would move pixels."""
    return (a[:, :, :, None] * b[:, None]).sum(2)


def gathered(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Images [B, C, H, W] -> [B, C, h, w]: the pixels at int64 `rows` and `columns` [B, h, w]."""
    channels, width = images.shape[1], images.shape[3]
    index = (rows * width + columns).flatten(1)[:, None].expand(-1, channels, -1)
    return images.flatten(2).gather(2, index).unflatten(2, rows.shape[1:])


def mirrored(index: Tensor, length: int) -> Tensor:
    """Any whole number -> the pixel 0 .. length - 1 that stands there on a mirrored axis."""
    index = index.remainder(period(length))
    return torch.minimum(index, period(length) - index)


def _places(x: Tensor, y: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
    """Columns at x [w] and rows at y [h], from the centre -> the places x, y [B, h, w] that are seen there."""
    (a, b, c), (d, e, f) = (inverse[:, row, :, None, None].unbind(1) for row in (0, 1))
    y = y[:, None]
    return a * x + b * y + c, d * x + e * y + f


def _pixels(length: int, like: Tensor) -> Tensor:
    return torch.arange(length, dtype=like.dtype, device=like.device) - (length - 1) / 2


def _samples(length: int, like: Tensor) -> Tensor:
    """Places of the samples that `halving` takes."""
    n = torch.arange(2 * length + OVERHANG, dtype=like.dtype, device=like.device)
    return (n - DELAY) / 2 - (length - 1) / 2


def _index(place: Tensor, length: int) -> Tensor:
    """Place from the centre -> where a doubled period shows it, as `grid_sample` counts: -1 the first, 1 the last."""
    entry = 2 * (place + (length - 1) / 2) + DELAY
    return entry.remainder(2 * period(length)) / period(length) - 1


class _Lookup(torch.autograd.Function):
    """Bilinear lookup in images [B, C, H, W] at grid [B, h, w, 2], without a gradient to the grid.

    `torch.nn.functional.grid_sample` has a second derivative since torch 2.12 only, and a slower one. The operation is
    linear: its derivative is its transpose, whose derivative is the operation itself.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = images.shape
        return torch.ops.aten.grid_sampler_2d(images, grid, *_BILINEAR)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _Spread.apply(gradients[0], ctx.saved_tensors[0], ctx.shape), None  # pyright: ignore[reportReturnType]


class _Spread(torch.autograd.Function):
    """The transpose of `_Lookup`: [B, C, h, w] and the grid -> images of `shape`."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        images = values.new_zeros(()).expand(shape)  # asked only for its shape
        return torch.ops.aten.grid_sampler_2d_backward(values, images, grid, *_BILINEAR, (True, False))[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _Lookup.apply(gradients[0], ctx.saved_tensors[0]), None, None  # pyright: ignore[reportReturnType]


_BILINEAR = (0, 0, True)  # bilinear, zeros beyond the border, -1 and 1 are the centres of the outermost pixels
