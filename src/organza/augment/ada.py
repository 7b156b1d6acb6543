"""ADA: "Training Generative Adversarial Networks with Limited Data" (Karras et al., 2020, arXiv:2006.06676).

The augmentations of appendix B, in its order. Each strikes a sample with probability p:

    blit      mirror x; turn by i 90 degrees; move by whole pixels, U(-1/8, 1/8) of the side
    geom      scale by s; rotate; stretch by s and 1/s; rotate; move by N(0, 1/8) of the side
              log2 s ~ N(0, 0.2), angles U(-pi, pi)
    color     brightness + N(0, 0.2); contrast x s, log2 s ~ N(0, 0.5); reflect the luma; rotate the hue, U(-pi, pi);
              saturation x s, log2 s ~ N(0, 1)
    filter    amplify each of four frequency bands by t, log2 t ~ N(0, 1), at constant expected power
    noise     + N(0, sigma), sigma ~ |N(0, 0.1)|
    cutout    zero a rectangle of half the sides, its centre anywhere

The second argument of N is a deviation. Mirroring draws i from {0, 1} and the turn from {0, 1, 2, 3}, so that even at
p = 1 half and a quarter of the samples stay. Either rotation has probability 1 - sqrt(1 - p), both together p.

Geometry and colours are one matrix each. The functions here that name one return it, [B, 3, 3] as in
`organza.augment.warp` or [B, 4, 4] on (r, g, b, 1); the others map images [B, C, H, W] to images.

The paper knows colour and grey images. Here colour changes touch the first three of 3 or 4 channels, the first of 2,
and all of 1, 5 or more. Other than three colours are each treated as grey, which hue and saturation leave alone.
All else touches all channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from organza.augment.chance import Probability, chosen, colours, per_sample
from organza.augment.warp import product
from organza.augment.wavelets import bands
from organza.draws import Draws

POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)  # of the four bands in an image, a 1/f spectrum
SIDE = 0.5  # of the cutout, of the image's


def xflip(images: Tensor, draws: Draws, p: Probability) -> Tensor:
    """Mirror left and right."""
    (sign,) = _parts(images, draws, "xflip", p, 1 - 2 * draws.below("augment/xflip", 2), 1.0)
    return _scaling(sign, 1.0)


def rotate90(images: Tensor, draws: Draws, p: Probability) -> Tensor:
    """Turn by a multiple of 90 degrees."""
    (quarters,) = _parts(images, draws, "rotate90", p, draws.below("augment/rotate90", 4), 0.0)
    angle = quarters * (math.pi / 2)
    return _turning(angle.cos().round(), angle.sin().round())


def xint(images: Tensor, draws: Draws, p: Probability) -> Tensor:
    """Move by whole pixels, by at most an eighth of each side."""
    shares = draws.uniform("augment/xint", 2) / 4 - 1 / 8
    x, y = _parts(images, draws, "xint", p, shares, 0.0)
    return _moving((x * images.shape[3]).round(), (y * images.shape[2]).round())


def scale(images: Tensor, draws: Draws, p: Probability) -> Tensor:
    """Enlarge or shrink."""
    (s,) = _parts(images, draws, "scale", p, (0.2 * draws.normal("augment/scale")).exp2(), 1.0)
    return _scaling(1 / s, 1 / s)


def rotate_before(images: Tensor, draws: Draws, p: Probability) -> Tensor:
    """Rotate, before stretching."""
    return _rotate(images, draws, "rotate-before", p)


def aniso(images: Tensor, draws: Draws, p: Probability) -> Tensor:
    """Stretch one axis and squeeze the other."""
    (s,) = _parts(images, draws, "aniso", p, (0.2 * draws.normal("augment/aniso")).exp2(), 1.0)
    return _scaling(1 / s, s)


def rotate_after(images: Tensor, draws: Draws, p: Probability) -> Tensor:
    """Rotate, after stretching."""
    return _rotate(images, draws, "rotate-after", p)


def xfrac(images: Tensor, draws: Draws, p: Probability) -> Tensor:
    """Move by any distance."""
    x, y = _parts(images, draws, "xfrac", p, draws.normal("augment/xfrac", 2) / 8, 0.0)
    return _moving(x * images.shape[3], y * images.shape[2])


def brightness(images: Tensor, draws: Draws, p: Probability) -> Tensor:
    """Add to all colours."""
    (b,) = _parts(images, draws, "brightness", p, 0.2 * draws.normal("augment/brightness"), 0.0)
    return _mixing(1.0, 0.0, 0.0, b)


def contrast(images: Tensor, draws: Draws, p: Probability) -> Tensor:
    """Multiply all colours."""
    (c,) = _parts(images, draws, "contrast", p, (0.5 * draws.normal("augment/contrast")).exp2(), 1.0)
    return _mixing(c, 0.0, 0.0, 0.0)


def lumaflip(images: Tensor, draws: Draws, p: Probability) -> Tensor:
    """Turn light into dark and keep the hue: a reflection along the grey axis."""
    (i,) = _parts(images, draws, "lumaflip", p, draws.below("augment/lumaflip", 2), 0.0)
    grey = -2 / 3 * i
    return _mixing(1 + grey, grey, grey, 0.0)


def hue(images: Tensor, draws: Draws, p: Probability) -> Tensor:
    """Rotate the colours about the grey axis."""
    (angle,) = _parts(images, draws, "hue", p, _angle(draws, "hue"), 0.0)
    grey, side = (1 - angle.cos()) / 3, angle.sin() / math.sqrt(3)
    return _mixing(angle.cos() + grey, grey - side, grey + side, 0.0)


def saturation(images: Tensor, draws: Draws, p: Probability) -> Tensor:
    """Multiply the distance of the colours from the grey axis."""
    (s,) = _parts(images, draws, "saturation", p, draws.normal("augment/saturation").exp2(), 1.0)
    grey = (1 - s) / 3
    return _mixing(s + grey, grey, grey, 0.0)


def coloured(images: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Images [B, C, H, W] -> [B, C, H, W]: the colours of each pixel times the matrices [B, 4, 4], the first first."""
    matrix = reduce(lambda total, new: product(new, total), matrices)
    count = colours(images.shape[1])
    seen, rest = images[:, :count], images[:, count:]
    if count == 3:
        seen = (matrix[:, :3, :3] @ seen.flatten(2) + matrix[:, :3, 3:]).view_as(seen)
    else:  # what happens to (g, g, g)
        seen = per_sample(matrix[:, 0, :3].sum(1)) * seen + per_sample(matrix[:, 0, 3])
    return torch.cat([seen, rest], 1) if rest.shape[1] else seen


def filtered(images: Tensor, draws: Draws, p: Probability) -> Tensor:
    """Amplify frequency bands of rows and columns; each factor is divided by what it does to the expected power."""
    gains = [images.new_ones(len(images))] * 4
    for band, share in enumerate(POWER):
        name = f"filter/{band}"
        (t,) = _parts(images, draws, name, p, draws.normal(f"augment/{name}").exp2(), 1.0)
        power = 1 + share * (t.square() - 1)  # sum(POWER t^2), where t is 1 in the other bands
        gains = [gain * (t if i == band else 1) / power.sqrt() for i, gain in enumerate(gains)]
    rows, columns = (_amplifier(torch.stack(gains, 1), length) for length in images.shape[2:])
    return rows @ images @ columns.transpose(2, 3)


def noise(images: Tensor, draws: Draws, p: Probability) -> Tensor:
    """Add independent numbers to all values."""
    (sigma,) = _parts(images, draws, "noise", p, 0.1 * draws.normal("augment/noise/sigma").abs(), 0.0)
    return images + per_sample(sigma) * draws.normal("augment/noise", *images.shape[1:]).to(images)


def cutout(images: Tensor, draws: Draws, p: Probability) -> Tensor:
    """Set a rectangle to zero, the middle grey."""
    centre = draws.uniform("augment/cutout", 2).to(images)
    x, y = (_inside(length, centre[:, i], images) for i, length in enumerate(images.shape[:1:-1]))
    hidden = chosen(draws, "cutout", p)[:, None, None] & y[:, :, None] & x[:, None]
    return images * ~hidden[:, None]


def _rotate(images: Tensor, draws: Draws, name: str, p: Probability) -> Tensor:
    (angle,) = _parts(images, draws, name, 1 - (1 - p) ** 0.5, _angle(draws, name), 0.0)
    return _turning(angle.cos(), angle.sin())


def _angle(draws: Draws, name: str) -> Tensor:
    return math.pi * (2 * draws.uniform(f"augment/{name}") - 1)


def _parts(
    images: Tensor, draws: Draws, name: str, p: Probability, values: Tensor, neutral: float
) -> tuple[Tensor, ...]:
    """The columns of `values` [B] or [B, N] in the images' type, `neutral` in the samples that are not struck."""
    struck = torch.where(chosen(draws, name, p)[:, None], values.view(len(values), -1), neutral)
    return struck.to(images).unbind(1)


def _scaling(x: Tensor, y: Tensor | float) -> Tensor:
    return _matrix((x, 0.0, 0.0), (0.0, y, 0.0), (0.0, 0.0, 1.0))


def _turning(cos: Tensor, sin: Tensor) -> Tensor:
    return _matrix((cos, -sin, 0.0), (sin, cos, 0.0), (0.0, 0.0, 1.0))


def _moving(x: Tensor, y: Tensor) -> Tensor:
    """The inverse of a move to the right and down: what is seen lies to the left and above."""
    return _matrix((1.0, 0.0, -x), (0.0, 1.0, -y), (0.0, 0.0, 1.0))


def _mixing(same: Tensor | float, after: Tensor | float, before: Tensor | float, shift: Tensor | float) -> Tensor:
    """On (r, g, b, 1): each colour from itself, the one after it, the one before it in the circle r, g, b, and 1."""
    return _matrix(
        (same, after, before, shift), (before, same, after, shift), (after, before, same, shift), (0.0, 0.0, 0.0, 1.0)
    )


def _matrix(*rows: tuple[Tensor | float, ...]) -> Tensor:
    """[B, N, N] from numbers and [B]; numbers are filled in on the device, which waits for nothing."""
    entries = [entry for row in rows for entry in row]
    like = next(entry for entry in entries if isinstance(entry, Tensor))
    filled = [entry if isinstance(entry, Tensor) else torch.full_like(like, entry) for entry in entries]
    return torch.stack(filled, 1).view(-1, len(rows), len(rows))


def _amplifier(gains: Tensor, length: int) -> Tensor:
    """[B, 1, length, length]: the bands of an axis, each times its gain [B, 4]."""
    matrices = bands(length, gains.dtype, gains.device)
    return (gains @ matrices.flatten(1)).view(-1, 1, length, length)


def _inside(length: int, centre: Tensor, images: Tensor) -> Tensor:
    """Bool [B, length]: the pixels whose centres lie within SIDE / 2 of `centre` [B], in shares of the length."""
    pixels = (torch.arange(length, dtype=images.dtype, device=images.device) + 0.5) / length
    return (pixels - centre[:, None]).abs() < SIDE / 2
