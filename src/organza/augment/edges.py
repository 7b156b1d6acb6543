"""Images whose edges are blurred and nothing else (Chen et al., 2018, "CartoonGAN", CVPR, section 3.2).

A discriminator that is told to refuse them asks for clear edges: most of a drawing is flat, and without them a blurred
line, a small part of it, goes through. Edges are those of Canny (1986, doi:10.1109/TPAMI.1986.4767851).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn import functional as F

from organza.augment.chance import colours

LOW, HIGH = 100.0, 200.0  # of |dx| + |dy| of Sobel's filters, pixels from 0 to 255
AROUND = 5  # pixels; what counts as the neighbourhood of an edge, and is blurred
BLUR = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
FLAT, STEEP = 2**0.5 - 1, 2**0.5 + 1  # the slopes at 22.5 and 67.5 degrees


def edge_smooth(images: Tensor) -> Tensor:
    """Images [B, C, H, W] in [-1, 1] -> the same, blurred within two pixels of an edge; alpha stays as it is."""
    near = F.max_pool2d(edges(images).float(), AROUND, 1, AROUND // 2) > 0
    count = colours(images.shape[1])
    blurred = torch.cat([_blurred(images[:, :count]), images[:, count:]], 1)
    return torch.where(near, blurred, images)


def edges(images: Tensor) -> Tensor:
    """Images [B, C, H, W] in [-1, 1] -> bool [B, 1, H, W]: Canny's edges of their lightness.

    Ridges of the slope count where it is above `HIGH`, or above `LOW` and connected with such a place.
    """
    dx, dy = _slopes(((_lightness(images) + 1) * 127.5).round())  # as of bytes: rounding errors would break ties
    steepness = dx.abs() + dy.abs()
    candidates = _ridges(dx, dy, steepness) & (steepness > LOW)
    return _connected(candidates & (steepness > HIGH), candidates)


def _lightness(images: Tensor) -> Tensor:
    count = colours(images.shape[1])
    weights = [0.299, 0.587, 0.114] if count == 3 else [1 / count] * count
    return (images[:, :count] * images.new_tensor(weights).view(1, -1, 1, 1)).sum(1, keepdim=True)


def _slopes(grey: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel's dx and dy, [B, 1, H, W] each, the border repeated."""
    across = grey.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    kernel = torch.stack([across, across.T])[:, None]
    dx, dy = F.conv2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), kernel).chunk(2, 1)
    return dx, dy


def _ridges(dx: Tensor, dy: Tensor, steepness: Tensor) -> Tensor:
    """Where it is steeper than at both neighbours in the direction of the slope, which is one of four."""
    rows, columns = steepness.shape[2:]
    wide = F.pad(steepness, (1, 1, 1, 1))

    def at(down: int, right: int) -> Tensor:
        return wide[:, :, 1 + down : 1 + down + rows, 1 + right : 1 + right + columns]

    flat, steep = dy.abs() < FLAT * dx.abs(), dy.abs() > STEEP * dx.abs()
    level = (steepness > at(0, -1)) & (steepness >= at(0, 1))  # of two equal neighbours the first one counts
    upright = (steepness > at(-1, 0)) & (steepness >= at(1, 0))
    falling = (steepness > at(-1, -1)) & (steepness > at(1, 1))
    rising = (steepness > at(-1, 1)) & (steepness > at(1, -1))
    diagonal = torch.where(dx * dy >= 0, falling, rising)
    return torch.where(flat, level, torch.where(steep, upright, diagonal))


def _connected(found: Tensor, candidates: Tensor) -> Tensor:
    """All candidates that touch what is found, and what touches those, until there are no more."""
    if isinstance(found, FakeTensor):  # which a plan of the memory has: no values to compare
        return candidates
    while True:
        more = (F.max_pool2d(found.float(), 3, 1, 1) > 0) & candidates
        if torch.equal(more, found):
            return found
        found = more


def _blurred(images: Tensor) -> Tensor:
    count, taps = images.shape[1], images.new_tensor(BLUR)
    kernel = torch.outer(taps, taps).expand(count, 1, -1, -1)
    return F.conv2d(F.pad(images, (2, 2, 2, 2), mode="reflect"), kernel, groups=count)
