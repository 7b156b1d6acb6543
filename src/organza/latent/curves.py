"""Curves through points of a latent space: straight, along arcs, or smooth (cubic splines), open or closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from organza.config import closest

Way = Literal["linear", "slerp", "cubic"]

Curve = Callable[[Tensor], Tensor]
"""Times [F], from 0 at the first point, one more at each next one -> points [F, ...]."""

TINY = 1e-6


def curve(keys: Tensor, way: Way, loop: bool, centre: Tensor | float = 0.0, keep_length: bool = False) -> Curve:
    """A curve through `keys` [K, ...]; a loop returns to the first from time K - 1 to K.

    slerp goes along arcs around `centre` (White, arXiv:1609.04468), with the length of the last dimension changing
    evenly; cubic has a continuous second derivative everywhere, also where a loop closes. `keep_length` gives every
    point of it the length that goes smoothly from key to key, as noise has it. Raises ValueError for another way and
    for fewer than 2 keys.
    """
    if way not in get_args(Way):
        raise ValueError(f"way is '{way}'{closest(str(way), get_args(Way))}")
    if len(keys) < 2:
        raise ValueError(f"{len(keys)} sample is no way; give 2 seeds or more")
    points = keys.double() - centre
    if way == "cubic":
        draw = _of_length(points, loop) if keep_length else spline(points, loop)
    else:
        draw = _in_pieces(points, arc if way == "slerp" else _line, loop)
    return lambda times: (draw(times.double()) + centre).to(keys.dtype)


def slerp(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """`steps` points [steps, D] on the arc from `start` to `end` [D], both included (White, arXiv:1609.04468).

    The length changes evenly too, so that every point is as long as noise is; a straight line would pass through
    points near the origin, which no noise reaches. Raises ValueError for fewer than 2 steps.
    """
    if steps < 2:
        raise ValueError(f"steps is {steps}; it takes 2 or more")
    ways = torch.linspace(0, 1, steps, dtype=torch.float64)
    return arc(start.double().expand(steps, -1), end.double().expand(steps, -1), ways).to(start.dtype)


def arc(a: Tensor, b: Tensor, ways: Tensor) -> Tensor:
    """Points [F, ..., D] at shares `ways` [F] of the arcs from a to b, float64; straight where none is the shortest."""
    ways = ways.view(-1, *[1] * (a.dim() - 1))
    size_a, size_b = (x.norm(dim=-1, keepdim=True) for x in (a, b))
    cosine = (a * b).sum(-1, keepdim=True) / (size_a * size_b).clamp_min(1e-12)
    angle = cosine.clamp(-1, 1).arccos()
    straight = (size_a * size_b == 0) | (angle.sin() < TINY)  # one direction, or opposite ones
    sine = angle.sin().where(~straight, 1.0)
    unit_a, unit_b = a / size_a.clamp_min(1e-12), b / size_b.clamp_min(1e-12)
    turned = (((1 - ways) * angle).sin() * unit_a + (ways * angle).sin() * unit_b) / sine
    return torch.where(straight, torch.lerp(a, b, ways), turned * torch.lerp(size_a, size_b, ways))


def spline(points: Tensor, loop: bool) -> Curve:
    """The cubic spline through points [K, ...]: periodic, or natural (straight at its ends); float64.

    Between two points it is their line plus cubic parts of the second derivatives M there, which solve
    M[i-1] + 4 M[i] + M[i+1] = 6 (p[i-1] - 2 p[i] + p[i+1]).
    """
    count, flat = len(points), points.reshape(len(points), -1)
    system = 4 * torch.eye(count, dtype=torch.float64)
    for i in range(count):
        for near in (i - 1, i + 1):
            system[i, near % count] += 1
    right = 6 * (flat.roll(1, 0) - 2 * flat + flat.roll(-1, 0))
    if not loop:
        for end in (0, -1):
            system[end] = torch.eye(count, dtype=torch.float64)[end]
            right[end] = 0
    bends = torch.linalg.solve(system, right).view(points.shape)

    def at(times: Tensor) -> Tensor:
        """Points of the spline."""
        first, next_, way = _places(times, count, loop)
        u = way.view(-1, *[1] * (points.dim() - 1))
        line = points[first] * (1 - u) + points[next_] * u
        return line + (((1 - u) ** 3 - (1 - u)) * bends[first] + (u**3 - u) * bends[next_]) / 6

    return at


def _of_length(points: Tensor, loop: bool) -> Curve:
    """A spline of directions times one of lengths (of all numbers of a point)."""
    lengths = points.flatten(1).norm(dim=1)
    way, length = spline(points, loop), spline(lengths, loop)

    def at(times: Tensor) -> Tensor:
        """Points as long as their neighbours."""
        found = way(times)
        own = found.flatten(1).norm(dim=1).clamp_min(1e-12)
        return found * (length(times).clamp_min(0) / own).view(-1, *[1] * (points.dim() - 1))

    return at


def _in_pieces(points: Tensor, piece: Callable[[Tensor, Tensor, Tensor], Tensor], loop: bool) -> Curve:
    def at(times: Tensor) -> Tensor:
        """Points of the piece between two keys."""
        first, next_, way = _places(times, len(points), loop)
        return piece(points[first], points[next_], way)

    return at


def _line(a: Tensor, b: Tensor, ways: Tensor) -> Tensor:
    return torch.lerp(a, b, ways.view(-1, *[1] * (a.dim() - 1)))


def _places(times: Tensor, count: int, loop: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Between which two of `count` points a time lies, and how far along."""
    first = times.floor().long()
    first = first if loop else first.clamp(0, count - 2)
    return first % count, (first + 1) % count, times - first
