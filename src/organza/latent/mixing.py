"""Style mixing: a picture with some layers of another (Karras et al., arXiv:1812.04948, section 3.1 and figure 3)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack

import torch
from torch import Tensor

from organza.data.progress import SILENT, Progress
from organza.draws import keys_of
from organza.latent.drawing import Drawing, Look, at_once
from organza.latent.sampling import latents, must_be_seeds

if TYPE_CHECKING:
    from organza.hub.gan import GAN, Labels

NAMED = {"coarse": (0, 4), "middle": (4, 8), "fine": (8, 1000)}
"""First layer and the one behind the last: pose and shape, features, colours; 4x4-8x8, 16x16-32x32 and above there."""


@dataclass(frozen=True)
class Mixture:
    """Sources of the rows [R, C, H, W] and of the columns [K, C, H, W], and what is mixed [R, K, C, H, W]; uint8.

    A mixed picture is its row's, but for `layers`, which are its column's.
    """

    rows: Tensor
    columns: Tensor
    mixed: Tensor
    layers: tuple[int, ...]

    def cells(self) -> Tensor:
        """The figure in rows of K + 1 cells: the columns' sources on top, the rows' on the left, the corner white."""
        corner = torch.full_like(self.rows[:1], 255)
        top = torch.cat([corner, self.columns])[None]
        return torch.cat([top, torch.cat([self.rows[:, None], self.mixed], 1)]).flatten(0, 1)


def mix(
    gan: GAN, rows: Sequence[int], columns: Sequence[int], layers: str | Sequence[int] = "coarse", *,
    labels: Labels = None, batch: int | None = None, progress: Progress = SILENT, **look: Unpack[Look],
) -> Mixture:  # fmt: skip
    """The samples of the seeds `rows`, each with `layers` of those of the seeds `columns`.

    `layers` are numbers and ranges, or coarse, middle or fine, joined by commas. `labels`: one for all, or one for each
    row and then each column; without w the class of a mixed picture is its row's. `look` as in `GAN.sample`. Raises
    ValueError as that does, for layers that the generator has not, and for a generator with one code for all layers.
    """
    drawing = gan.drawing(**look)
    chosen, seeds = layers_of(layers, drawing), must_be_seeds([*rows, *columns])
    if not len(rows) or not len(columns):
        raise ValueError("mixing takes at least one seed of a row and one of a column")
    told = gan.label_numbers(labels, len(seeds))
    z = latents(seeds, gan.z_dim, drawing.cut)
    codes = drawing.codes(z, told)
    kept, given = codes[: len(rows)], codes[len(rows) :]
    mixed = kept[:, None].repeat(1, len(columns), 1, 1)
    mixed[:, :, list(chosen)] = given[None, :, list(chosen)]
    whose = torch.cat([torch.arange(len(seeds)), torch.arange(len(rows)).repeat_interleave(len(columns))])
    every, size = torch.cat([codes, mixed.flatten(0, 1)]), batch or at_once(gan.shape)
    drawn = _drawn(drawing, every, told, whose, keys_of(z), size, progress)
    a, b, rest = drawn.split([len(rows), len(columns), len(rows) * len(columns)])
    return Mixture(a, b, rest.unflatten(0, (len(rows), len(columns))), chosen)


def layers_of(asked: str | Sequence[int], drawing: Drawing) -> tuple[int, ...]:
    """The numbers of the layers that were asked for. Raises ValueError as `mix` does."""
    count = drawing.space.layers
    if count == 1:
        parts = getattr(drawing.space.generator, "parts", ())
        why = (f"its noise has parts of different sizes ({', '.join(map(str, parts))})" if len(parts) > 1
               else "this generator draws the whole picture from one code")  # fmt: skip
        raise ValueError(f"no layers to mix: {why}; organza interpolate goes from one sample to another")
    found: list[int] = []
    for part in asked.replace(" ", "").split(",") if isinstance(asked, str) else map(str, asked):
        ends = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        first, stop = NAMED.get(part, (int(ends[1]), int(ends[2] or ends[1]) + 1) if ends else (0, 0))
        stop = min(stop, count) if part in NAMED else stop
        if not first < stop <= count:
            raise ValueError(f"layers has '{part}'; {_there(count)}")
        found += range(first, stop)
    return tuple(sorted(set(found)))


def _there(count: int) -> str:
    named = [f"{name} ({a}-{min(b, count) - 1})" for name, (a, b) in NAMED.items() if a < count]
    return f"this generator has the layers 0-{count - 1}: give numbers, ranges such as 0-{count // 2 - 1}, or " + (
        ", ".join(named)
    )


def _drawn(
    drawing: Drawing, codes: Tensor, labels: Tensor | None, whose: Tensor, keys: Tensor, batch: int, progress: Progress
) -> Tensor:
    """Pictures of the codes; row i has the label and the random noise of the sample `whose[i]`."""
    parts = []
    for rows in torch.arange(len(codes)).split(batch):
        of = whose[rows]
        parts.append(drawing.draw(codes[rows], None if labels is None else labels[of], keys[of]))
        progress.step("mixing", int(rows[-1]) + 1, len(codes))
    return torch.cat(parts)
