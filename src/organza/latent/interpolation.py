"""From one sample to the next: whether a generator moves smoothly, or jumps between samples that it knows by heart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack

import torch
from torch import Tensor

from organza.latent.curves import Curve, Way, curve
from organza.latent.drawing import Drawing, Look
from organza.latent.film import Film
from organza.latent.sampling import latents, must_be_seeds

if TYPE_CHECKING:
    from organza.hub.gan import GAN, Labels

Space = Literal["z", "w"]


def interpolate(
    gan: GAN, seeds: Sequence[int] | Sequence[Sequence[int]], *, frames: int = 30, space: Space | None = None,
    way: Way = "cubic", loop: bool = True, labels: Labels = None, batch: int | None = None, **look: Unpack[Look],
) -> Film:  # fmt: skip
    """A film through the samples of `seeds` [K], `frames` from one to the next; of seeds [T, K]: T films side by side.

    It goes through the noise z, or through w where there is a w (default), along lines, arcs or a cubic spline; a loop
    returns to the first seed, else the film ends with the last. Frame `frames` * i is the sample of seed i.

    `labels`: one for all, one for each of the T, or in w one for each seed (the classes are crossed too); without them
    track i shows class i. `look` as in `GAN.sample`. Raises ValueError as that does, for fewer than 2 seeds, for tracks
    of different lengths, for w of a generator without one, and for other ways.
    """
    tracks, nested = _tracks(seeds)
    drawing = gan.drawing(**look)
    _check(tracks, frames, space, drawing)
    in_w, steps = drawing.space.has_w if space is None else space == "w", len(tracks[0])
    chosen = _labels(gan, labels, len(tracks), steps, in_w)
    z = latents([seed for track in tracks for seed in track], gan.z_dim, drawing.cut)
    lines = _curves(drawing, z, chosen, steps, way, loop, in_w)

    def codes_at(numbers: Tensor) -> tuple[Tensor, Tensor | None]:
        """Codes of all tracks, frame by frame."""
        times = numbers.double() / frames
        points = torch.stack([line(times) for line in lines], 1).flatten(0, 1)
        told = None if chosen is None else chosen[::steps].repeat(len(numbers))
        return points if in_w else drawing.codes(points, told), told

    count = steps * frames if loop else (steps - 1) * frames + 1
    return Film(count, len(tracks) if nested else 0, drawing, codes_at, tracks[0][0], batch)


def _tracks(seeds: Sequence[int] | Sequence[Sequence[int]]) -> tuple[list[list[int]], bool]:
    """The seeds of each track, and whether they were given so. Raises ValueError for seeds that are none."""
    rows = [list(track) for track in seeds if isinstance(track, Sequence)]
    nested = bool(rows)
    rows = rows or [[seed for seed in seeds if not isinstance(seed, Sequence)]]
    must_be_seeds([seed for row in rows for seed in row])
    return rows, nested


def _check(tracks: list[list[int]], frames: int, space: Space | None, drawing: Drawing) -> None:
    if len({len(track) for track in tracks}) > 1:
        raise ValueError(f"the tracks have {', '.join(str(len(track)) for track in tracks)} seeds; give each as many")
    if frames < 1:
        raise ValueError(f"frames is {frames}; it takes 1 or more from each seed to the next")
    if space not in (None, "z", "w"):
        raise ValueError(f"space is '{space}'; it takes z or w")
    if space == "w" and not drawing.space.has_w:
        raise ValueError("this generator has no w, which StyleGANs map their noise to; take space z")


def _labels(gan: GAN, labels: Labels, tracks: int, steps: int, in_w: bool) -> Tensor | None:
    """A label for each seed [tracks * steps], those of one track equal unless all are given."""
    named = isinstance(labels, (Sequence, Tensor)) and not isinstance(labels, str)
    if not (named and len(labels) == tracks * steps):  # type: ignore[arg-type]
        found = gan.label_numbers(labels, tracks)
        return None if found is None else found.repeat_interleave(steps)
    found = gan.label_numbers(labels, tracks * steps)
    assert found is not None
    rows = found.view(tracks, steps)
    if not in_w and not bool((rows == rows[:, :1]).all()):
        raise ValueError("classes are crossed in w alone; in z all seeds of a track have one label: give one for each")
    return found


def _curves(
    drawing: Drawing, z: Tensor, labels: Tensor | None, steps: int, way: Way, loop: bool, in_w: bool
) -> list[Curve]:
    """One for each track, in z, or in w around its mean."""
    if not in_w:  # noise keeps its length
        return [curve(keys, way, loop, keep_length=True) for keys in z.split(steps)]
    mapping: Any = drawing.space.generator.mapping
    centres = mapping.centre(None if labels is None else labels.to(mapping.w_avg.device)).cpu().double()
    centres = centres.expand(len(z), -1).split(steps)  # of each key: a track goes around the mean of its own
    codes = drawing.codes(z, labels).split(steps)
    return [curve(keys, way, loop, around.mean(0)) for keys, around in zip(codes, centres, strict=True)]
