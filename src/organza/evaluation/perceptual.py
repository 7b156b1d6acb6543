"""What LPIPS tells: how different two samples look (`lpips`), and how far a step of the noise moves them (`ppl`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from organza.evaluation.evidence import Evidence
from organza.latent.sampling import every_class, generate, latents
from organza.latent.space import LatentSpace
from organza.metrics.diversity import random_pairs
from organza.metrics.lpips import Lpips
from organza.metrics.networks.resize import rgb
from organza.metrics.path_length import Draw, for_path_length, path_lengths, without_extremes
from organza.training.precision import full_precision

PAIRS, LEAST, AT_ONCE = 1000, 64, 32


@torch.no_grad()
def pair_distances(measure: Lpips, images: Tensor, seen: Evidence) -> Tensor:
    """LPIPS of each random pair of uint8 images [N, C, H, W], float64 [PAIRS]; sides below 64 are enlarged to it."""
    distance, found = distance_of(measure, seen), []
    one, two = random_pairs(len(images), PAIRS, seen.seed)
    for some, others in zip(one.split(AT_ONCE), two.split(AT_ONCE), strict=True):
        found.append(distance(images[some], images[others]).cpu().double())
        seen.progress.step("LPIPS of pairs", min(AT_ONCE * len(found), PAIRS), PAIRS)
    return torch.cat(found)


def distance_of(measure: Lpips, seen: Evidence) -> Callable[[Tensor, Tensor], Tensor]:
    """LPIPS of uint8 images [N, C, H, W] and others, [N]; sides below 64 are enlarged to it."""
    place = measure.to(seen.made.device)

    @torch.no_grad()
    def distance(one: Tensor, two: Tensor) -> Tensor:
        with full_precision():
            return place(_prepared(one, seen.made.device), _prepared(two, seen.made.device))

    return distance


def _prepared(images: Tensor, device: torch.device) -> Tensor:
    seen = rgb(images.to(device)) / 127.5 - 1
    height, width = images.shape[2:]
    larger = (max(height, LEAST), max(width, LEAST))
    return seen if larger == (height, width) else F.interpolate(seen, larger, mode="bilinear", antialias=True)


@torch.no_grad()
def lengths_of_paths(measure: Callable[[Tensor, Tensor], Tensor], seen: Evidence) -> dict[str, Tensor]:
    """`ppl`, in z, and `ppl-w` where the generator has `mapping` (z, labels -> w) and `synthesis` (w -> images).

    float64, one for each sample but the extremes. Way i goes from the noise of seed s + 2i to that of s + 2i + 1.
    """
    gan, about, count = seen.gan, seen.fake.origin, len(seen.fake)
    assert gan is not None
    generator, device = gan.generator, next(gan.generator.parameters()).device
    measure = measure.to(device) if isinstance(measure, nn.Module) else measure
    first, labels = int(about["first_seed"]), every_class(count, len(gan.classes))
    has_w, truncation = LatentSpace(generator).has_w, about.get("truncation")
    cut = None if has_w else truncation
    z = latents(range(first, first + 2 * count), gan.z_dim, cut).view(count, 2, -1)

    def styles(noise: Tensor, chosen: Tensor | None) -> Tensor:
        """w of noise, at its share of the way from the mean."""
        made: Any = generator.mapping
        chosen = None if chosen is None else chosen.to(device)
        w = made(noise.to(device), chosen)
        return w if truncation is None else made.truncated(w, truncation, labels=chosen)

    def from_z(noise: Tensor, rows: slice) -> Tensor:
        """Images as they are, on the device of the measure."""
        chosen = None if labels is None else labels[rows]
        if has_w and truncation is not None:
            return from_w(styles(noise, chosen), rows)
        return for_path_length(generate(generator, noise, chosen).to(device))

    def from_w(noise: Tensor, _: slice) -> Tensor:
        """The same of codes that the mapping has made."""
        return for_path_length(generator.synthesis(noise.to(device)).float())  # type: ignore[operator]

    ways: dict[str, tuple[Draw, Tensor, Tensor]] = {"ppl": (from_z, z[:, 0], z[:, 1])}
    if has_w:
        ways["ppl-w"] = from_w, styles(z[:, 0], labels), styles(z[:, 1], labels)
    with full_precision():
        found = {
            name: path_lengths(draw, start, end, measure, progress=seen.progress)
            for name, (draw, start, end) in ways.items()
        }
    return {name: without_extremes(lengths) for name, lengths in found.items()}
