"""The holes that inpainting networks learn to fill: boxes and brush strokes, one mask for each sample.

All sizes are published for 256 pixels and grow with the shorter side of the image.

- `boxes`: 1 to 4 boxes with sides of 30 to 150 pixels, 10 pixels from the border (LaMa, arXiv:2109.07161)
- `box`: one of 96 to 128 pixels a side (DeepFill, arXiv:1806.03589, in place of its fixed 128 with room to move)
- `brush`: 1 to 3 strokes of 4 to 12 turns, 12 to 40 pixels wide (arXiv:1806.03589, algorithm 1)
- `scrawl`: 1 to 5 straight strokes in a row, up to 200 pixels long and 100 wide (LaMa's irregular masks)

Masks are bool [B, 1, H, W], true in the hole.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from organza.draws import Draws

PUBLISHED = 256
TURN, TURN_SPREAD = 2 * math.pi / 5, 2 * math.pi / 15


def boxes(height: int, width: int, draws: Draws, most: int = 4) -> Tensor:
    """LaMa's."""
    scale = min(height, width) / PUBLISHED
    margin = min(round(10 * scale), (min(height, width) - 2) // 2)
    count, where = draws.below("boxes", most), draws.uniform("places", most, 4)
    mask = torch.zeros(len(where), 1, height, width, dtype=torch.bool, device=where.device)
    for number in range(most):
        sides = []
        for axis, side in enumerate((height, width)):
            room = side - 2 * margin
            long = ((30 + 120 * where[:, number, axis]) * scale).round().clamp(1, room)
            sides.append((margin + (where[:, number, 2 + axis] * (room - long + 1)).floor(), long))
        mask |= _boxed(height, width, sides) & (number <= count).view(-1, 1, 1, 1)
    return mask


def box(height: int, width: int, draws: Draws) -> Tensor:
    """DeepFill's."""
    scale, where, sides = min(height, width) / PUBLISHED, draws.uniform("box", 4), []
    for axis, side in enumerate((height, width)):
        long = ((96 + 32 * where[:, axis]) * scale).round().clamp(min=1)
        sides.append(((where[:, 2 + axis] * (side - long + 1)).floor(), long))
    return _boxed(height, width, sides)


def brush(height: int, width: int, draws: Draws, strokes: int = 3, turns: int = 12) -> Tensor:
    """DeepFill's: the pen turns to and fro."""
    scale, radius = min(height, width) / PUBLISHED, math.hypot(height, width) / 8
    count, long = draws.below("strokes", strokes), 4 + draws.below("turns", turns - 3, strokes)
    wide = (12 + 28 * draws.uniform("width", strokes)) * scale
    angle = TURN + TURN_SPREAD * (2 * draws.uniform("angle", strokes, turns) - 1)
    step = (radius + radius / 2 * draws.normal("step", strokes, turns)).clamp(0, 2 * radius)
    start, parity = draws.uniform("start", strokes, 2), torch.arange(turns, device=angle.device) % 2 == 0
    angle = torch.where(parity, 2 * math.pi - angle, angle)
    mask = _empty(height, width, count)
    for number in range(strokes):
        at = start[:, number] * torch.tensor([height, width], device=start.device)
        for turn in range(turns):
            going = (number <= count) & (turn < long[:, number])
            to = _moved(at, angle[:, number, turn], step[:, number, turn], height, width)
            mask |= _stroke(at, to, wide[:, number], height, width) & going.view(-1, 1, 1, 1)
            at = to
    flips = draws.uniform("flips", 2) < 0.5
    mask = torch.where(flips[:, 0].view(-1, 1, 1, 1), mask.flip(2), mask)
    return torch.where(flips[:, 1].view(-1, 1, 1, 1), mask.flip(3), mask)


def scrawl(height: int, width: int, draws: Draws, most: int = 5) -> Tensor:
    """LaMa's: each stroke begins anew, and goes on for up to five turns."""
    scale = min(height, width) / PUBLISHED
    count, long = draws.below("strokes", most), 1 + draws.below("turns", 5, most)
    start = draws.uniform("start", most, 2)
    angle = 0.01 + draws.below("angle", 4, most, 5)
    angle = torch.where(torch.arange(5, device=angle.device) % 2 == 0, 2 * math.pi - angle, angle)
    step = (10 + 190 * draws.uniform("step", most, 5)) * scale
    wide = (5 + 95 * draws.uniform("width", most, 5)) * scale
    mask = _empty(height, width, count)
    for number in range(most):
        at = start[:, number] * torch.tensor([height, width], device=start.device)
        for turn in range(5):
            going = (number <= count) & (turn < long[:, number])
            to = _moved(at, angle[:, number, turn], step[:, number, turn], height, width)
            mask |= _stroke(at, to, wide[:, number, turn], height, width) & going.view(-1, 1, 1, 1)
            at = to
    return mask


def either(height: int, width: int, draws: Draws) -> Tensor:
    """Half of the samples with boxes, half with a scrawl: what LaMa is trained with."""
    chosen = (draws.uniform("either") < 0.5).view(-1, 1, 1, 1)
    return torch.where(chosen, boxes(height, width, draws), scrawl(height, width, draws.other("scrawl")))


def box_and_brush(height: int, width: int, draws: Draws) -> Tensor:
    """Both at once: what DeepFill v2 is trained with."""
    return box(height, width, draws) | brush(height, width, draws)


def _moved(at: Tensor, angle: Tensor, step: Tensor, height: int, width: int) -> Tensor:
    """Points [B, 2] (row, column) further along, kept inside."""
    row = (at[:, 0] + step * torch.sin(angle)).clamp(0, height - 1)
    return torch.stack([row, (at[:, 1] + step * torch.cos(angle)).clamp(0, width - 1)], 1)


def _stroke(start: Tensor, end: Tensor, wide: Tensor, height: int, width: int) -> Tensor:
    """Pixels [B, 1, H, W] nearer than half the width to the line from start to end, [B, 2] each; at least one pixel."""
    rows = torch.arange(height, device=start.device)[None, :, None] - start[:, 0, None, None]
    columns = torch.arange(width, device=start.device)[None, None] - start[:, 1, None, None]
    way = end - start
    dy, dx = way[:, 0, None, None], way[:, 1, None, None]
    share = ((rows * dy + columns * dx) / (dy**2 + dx**2).clamp(min=1e-6)).clamp(0, 1)
    apart = (rows - share * dy) ** 2 + (columns - share * dx) ** 2
    return (apart <= (wide / 2).clamp(min=0.71)[:, None, None] ** 2)[:, None]


def _boxed(height: int, width: int, sides: list[tuple[Tensor, Tensor]]) -> Tensor:
    """True where a pixel is within first and first + long of both axes, [B] each."""
    (top, tall), (left, long) = sides
    rows = torch.arange(height, device=top.device)[None]
    columns = torch.arange(width, device=top.device)[None]
    down = (rows >= top[:, None]) & (rows < (top + tall)[:, None])
    along = (columns >= left[:, None]) & (columns < (left + long)[:, None])
    return (down[:, :, None] & along[:, None])[:, None]


def _empty(height: int, width: int, like: Tensor) -> Tensor:
    return torch.zeros(len(like), 1, height, width, dtype=torch.bool, device=like.device)
