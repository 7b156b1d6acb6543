"""From one sample to another: whether a generator moves smoothly, or jumps between samples that it knows by heart."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from organza.latent.sampling import every_class, generate, latents


def slerp(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """`steps` points [steps, D] on the arc from `start` to `end` [D], both included (White, arXiv:1609.04468).

    The length changes evenly too, so that every point is as long as noise is; a straight line would pass through
    points near the origin, which no noise reaches. Raises ValueError for fewer than 2 steps.
    """
    if steps < 2:
        raise ValueError(f"steps is {steps}; it takes 2 or more")
    ways = torch.linspace(0, 1, steps, dtype=torch.float64)[:, None]
    a, b = start.double(), end.double()
    size = float(a.norm() * b.norm())
    angle = (a @ b / max(size, 1e-12)).clamp(-1, 1).arccos()
    if size == 0 or float(angle.sin()) < 1e-6:  # one direction, or opposite ones, between which no arc is the shortest
        return torch.lerp(a, b, ways).to(start.dtype)
    lengths = torch.lerp(a.norm(), b.norm(), ways)
    arc = ((1 - ways) * angle).sin() * a / a.norm() + (ways * angle).sin() * b / b.norm()
    return (arc / angle.sin() * lengths).to(start.dtype)


@torch.no_grad()
def interpolation(generator: nn.Module, rows: int, columns: int, seed: int = 0, classes: int = 0) -> Tensor:
    """Samples [rows * columns, *shape] in float32: row r goes from the noise of seed `seed` + 2 r to that of the next.

    On an arc in z; along a line in w where the generator has `mapping` (z, labels -> w) and `synthesis` (w -> samples),
    as StyleGAN's (arXiv:1812.04948). With `classes` row r shows class r. Raises ValueError for fewer than 2 columns.
    """
    ends = latents(range(seed, seed + 2 * rows), int(generator.z_dim)).view(rows, 2, -1)  # type: ignore[arg-type]
    labels = every_class(rows, classes)
    if has_mapping(generator):
        return _in_w(generator, ends, columns, labels)
    z = torch.cat([slerp(start, end, columns) for start, end in ends])
    return generate(generator, z, None if labels is None else labels.repeat_interleave(columns))


def has_mapping(generator: nn.Module) -> bool:
    """Whether a generator has a w: a mapping of its noise, from which the synthesis draws."""
    return hasattr(generator, "mapping") and hasattr(generator, "synthesis")


def _in_w(generator: nn.Module, ends: Tensor, columns: int, labels: Tensor | None) -> Tensor:
    device, training = next(generator.parameters()).device, generator.training
    generator.eval()
    try:
        chosen = None if labels is None else labels.to(device)
        start, end = (generator.mapping(ends[:, at].to(device), chosen) for at in (0, 1))  # type: ignore[operator]
        ways = torch.linspace(0, 1, columns, device=device)
        made = [
            generator.synthesis(torch.stack([torch.lerp(a, b, way) for way in ways])).float().cpu()  # type: ignore[operator]
            for a, b in zip(start, end, strict=True)
        ]
    finally:
        generator.train(training)
    return torch.cat(made)
