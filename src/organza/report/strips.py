"""Samples along directions with words at their rows and columns."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from organza.report.grid import GAP, grid_image

LEFT, TOP = 110, 20  # pixels of the margins with words
LONGEST = 17  # letters of a row's name
INK = (30, 30, 30)


def strip_image(samples: Tensor, rows: Sequence[str], columns: Sequence[str]) -> Image.Image:
    """Images [R * K, C, H, W], row by row -> one picture with the R names at the left and the K names above."""
    assert len(samples) == len(rows) * len(columns)
    cells = grid_image(samples, len(columns)).convert("RGB")
    canvas = Image.new("RGB", (cells.width + LEFT, cells.height + TOP), "white")
    canvas.paste(cells, (LEFT, TOP))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    wide, high = (cells.width + GAP) / len(columns), (cells.height + GAP) / len(rows)
    for at, name in enumerate(rows):
        short = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
        draw.text((6, TOP + at * high + high / 2 - 8), short, INK, font)
    for at, name in enumerate(columns):
        draw.text((LEFT + at * wide + wide / 2, TOP / 2), name, INK, font, anchor="mm")
    return canvas
