"""The page of a sample's layers: for each its strongest maps and its spectrum, as one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from organza.latent.layers import Layer
from organza.report.grid import picture

CELL, GAP, TEXT, PLOT = 88, 4, 190, 200  # pixels: a map, between two, the words and the spectrum
INK, PALE, LINE = (30, 30, 30), (215, 215, 215), (0, 114, 178)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
LOWEST = 1e-12  # power that still has a logarithm


def layers_image(layers: Sequence[Layer], sample: Tensor, title: str) -> Image.Image:
    """A row for each layer, from the first to the sample: name and figures, maps, power against frequency.

    Every map is drawn from its least (black) to its greatest value (white); units are bars around zero.
    """
    columns = max([len(layer.maps) if layer.maps.dim() == 3 else 1 for layer in layers] or [1])
    maps = max(columns * (CELL + GAP), 4 * (CELL + GAP))
    canvas = Image.new("RGB", (TEXT + maps + PLOT, 28 + (len(layers) + 1) * (CELL + 3 * GAP)), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    draw.text((8, 6), title, INK, font)
    for row, layer in enumerate(layers):
        top = 28 + row * (CELL + 3 * GAP)
        _words(draw, (8, top), layer, ImageFont.load_default(11))
        if layer.maps.dim() == 3:
            for at, one in enumerate(layer.maps):
                canvas.paste(_cell(one), (TEXT + at * (CELL + GAP), top))
        else:
            _bars(draw, layer.maps, (TEXT, top, maps - GAP))
        _spectrum(draw, layer, (TEXT + maps + 8, top), ImageFont.load_default(9))
    top = 28 + len(layers) * (CELL + 3 * GAP)
    draw.text((8, top), "the sample", INK, font)
    whole = picture(sample[None])
    whole.thumbnail((CELL, CELL), Image.Resampling.BOX)
    canvas.paste(whole.convert("RGB"), (TEXT, top))
    return canvas


def _words(draw: ImageDraw.ImageDraw, at: tuple[int, int], layer: Layer, font: Font) -> None:
    units = len(layer.shape) == 1
    size = f"{layer.shape[0]} units" if units else f"{layer.shape[0]} maps of {layer.shape[2]}x{layer.shape[1]}"
    silent = f"{layer.silent} {'zero' if units else 'constant'}" if layer.silent else ""
    shown = "" if units else f"shown: {', '.join(map(str, layer.strongest))}"
    name = layer.name if len(layer.name) <= 30 else f"…{layer.name[-29:]}"
    shown = shown if len(shown) <= 34 else f"{shown[:33]}…"
    lines = [name, size, f"mean {layer.mean:.3g}, deviation {layer.std:.3g}", silent, shown]
    draw.multiline_text(at, "\n".join(line for line in lines if line), INK, font, spacing=3)


def _cell(values: Tensor) -> Image.Image:
    """One map, in the middle of a cell, small ones enlarged without smoothing."""
    array = values.double().numpy()
    low, high = float(array.min()), float(array.max())
    grey = np.full(array.shape, 128.0) if high - low <= 0 else (array - low) / (high - low) * 255
    image = Image.fromarray(np.nan_to_num(grey).astype(np.uint8))
    scale = CELL / max(image.size)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    image = image.resize(size, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX)
    cell = Image.new("RGB", (CELL, CELL), PALE)
    cell.paste(image.convert("RGB"), ((CELL - image.width) // 2, (CELL - image.height) // 2))
    return cell


def _bars(draw: ImageDraw.ImageDraw, units: Tensor, place: tuple[int, int, int]) -> None:
    """The units as bars from the middle."""
    left, top, width = place
    values = np.nan_to_num(units.double().numpy())
    reach = float(np.abs(values).max()) or 1.0
    middle = top + CELL / 2
    draw.line([(left, middle), (left + width, middle)], PALE)
    step = width / len(values)
    for at, value in enumerate(values):
        x = left + at * step
        ends = sorted((middle, middle - value / reach * CELL / 2))
        draw.rectangle([x, ends[0], max(x + step - 1, x), ends[1]], LINE)


def _spectrum(draw: ImageDraw.ImageDraw, layer: Layer, at: tuple[int, int], font: Font) -> None:
    """Power, by its logarithm, from frequency 0 to 0.71, that of a checkerboard."""
    left, top, width, height = at[0] + 24, at[1] + 2, PLOT - 44, CELL - 16
    draw.rectangle([left, top, left + width, top + height], None, PALE)
    if not layer.power:
        draw.text((left + 6, top + 6), "no spectrum", PALE, font)
        return
    powers = [math.log10(max(p, LOWEST)) for p in layer.power]
    low, high = math.floor(min(powers)), math.ceil(max(powers))
    high = high if high > low else low + 1
    points = [
        (left + min(f / math.sqrt(0.5), 1) * width, top + (high - p) / (high - low) * height)
        for f, p in zip(layer.frequencies, powers, strict=True)
    ]
    draw.line(points if len(points) > 1 else points * 2, LINE, 2)
    for words, y in ((f"1e{high}", top - 2), (f"1e{low}", top + height - 9)):
        draw.text((at[0] - 6, y), words, INK, font)
    for words, x in (("0", left), ("0.5/px", left + width * 0.5 / math.sqrt(0.5) - 6)):
        draw.text((x, top + height + 2), words, INK, font)
