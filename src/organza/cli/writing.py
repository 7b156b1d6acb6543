"""Where samples go: a grid, one picture for each seed, or an array."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from organza.config import ConfigError
from organza.hub import GAN
from organza.report.grid import picture, save_png
from organza.report.provenance import provenance

Kind = Literal["grid", "folder", "array", "points"]
CHANNELS = (1, 2, 3, 4)  # that a PNG can have


def target(out: str, gan: GAN, seeds: Sequence[int], largest_grid: int) -> tuple[Kind, Path]:
    """What to write and where; without `out` a place in samples/ where nothing is yet. Raises ConfigError."""
    points = len(gan.shape) == 1
    path = Path(out).expanduser() if out else _free(gan, seeds, ".npy" if points else ".png")
    suffix = path.suffix.lower()
    kind: Kind = "grid" if suffix == ".png" else "array" if suffix in (".npy", ".npz") else "folder"
    if not out and points:
        kind = "points"
    if suffix in (".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif"):
        raise ConfigError(f"out is '{out}'; it takes .png, .npy, .npz or a folder")
    if kind == "folder" and points:
        raise ConfigError(f"these samples are points, which make no folder of pictures: {out}; type --out {out}.npy")
    if kind == "folder" and path.is_file():
        raise ConfigError(f"{out} is a file; out takes .png, .npy, .npz or a folder")
    if kind == "grid" and not points and len(seeds) > largest_grid:
        raise ConfigError(f"{len(seeds):,} samples are too many for one picture; type --out FOLDER or --out FILE.npy")
    if kind in ("grid", "folder") and not points and gan.shape[0] not in CHANNELS:
        raise ConfigError(f"samples with {gan.shape[0]} channels make no picture; type --out samples.npy")
    return kind, path


class Writer:
    """Takes samples batch by batch; `close` gives a line for each thing written."""

    def __init__(
        self, gan: GAN, kind: Kind, path: Path, seeds: Sequence[int], labels: Sequence[int] | None, marked: bool
    ) -> None:
        self.gan, self.kind, self.path, self.seeds, self.labels, self.marked = gan, kind, path, seeds, labels, marked
        self.replaced, self.done = path.exists() and kind != "folder", 0
        self.names = self._names() if kind == "folder" else []
        (path if kind == "folder" else path.parent).mkdir(parents=True, exist_ok=True)
        self.kept: list[Tensor] = []

    def take(self, samples: Tensor) -> None:
        """The next samples, in the order of the seeds."""
        if self.kind == "folder":
            for i, image in enumerate(samples, self.done):
                save_png(one_image(image), self.path / self.names[i], self._mark(self.seeds[i]))
        else:
            self.kept.append(samples)
        self.done += len(samples)

    def close(self) -> list[tuple[str, str]]:
        """Write what was collected."""
        verb = "replaced" if self.replaced else "written"
        if self.kind == "folder":
            return [("written", f"{self.done:,} pictures in {self.path}{os.sep}")]
        samples = torch.cat(self.kept)
        if self.kind == "grid":
            save_png(picture(samples), self.path, self._mark(self.seeds[0]))
            return [(verb, f"{self.path} ({self._what()})")]
        self._save_array(samples.numpy())
        lines = [(verb, f"{self.path} (array {list(samples.shape)}, {self._what()})")]
        if self.kind == "points":
            drawing = self.path.with_suffix(".png")
            save_png(picture(samples), drawing, self._mark(self.seeds[0]))
            lines.append(("written", str(drawing)))
        return lines

    def _what(self) -> str:
        first, last = self.seeds[0], self.seeds[-1]
        row = len(self.seeds) == last - first + 1
        return f"{self.done:,} samples, " + (f"seeds {first} to {last}" if row else f"{len(self.seeds):,} seeds")

    def _names(self) -> list[str]:
        digits = max(4, len(str(max(self.seeds))))
        names = [f"seed{seed:0{digits}}{self._class(i)}.png" for i, seed in enumerate(self.seeds)]
        if len(set(names)) < len(names):
            raise ConfigError("a seed is there twice with the same label, and would be written twice; name it once")
        return names

    def _class(self, i: int) -> str:
        if self.labels is None:
            return ""
        return "-" + (re.sub(r"[^\w.-]+", "_", self.gan.classes[self.labels[i]]).strip("._-") or str(self.labels[i]))

    def _mark(self, seed: int) -> PngInfo | None:
        if not self.marked:
            return None
        name = re.sub(r"[/\\~@]", "-", self.gan.recipe).strip() or self.gan.model.name
        return provenance(name, self.gan.sha256, seed)

    def _save_array(self, values: np.ndarray) -> None:
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        try:
            with partial.open("wb") as file:
                if self.path.suffix.lower() == ".npy":
                    np.save(file, values)
                else:
                    name = "images" if values.ndim == 4 else "points"
                    labels = {} if self.labels is None else {"labels": np.array(self.labels)}
                    np.savez(file, allow_pickle=False, **{name: values, "seeds": np.array(self.seeds), **labels})
            partial.replace(self.path)
        finally:
            partial.unlink(missing_ok=True)


def one_image(pixels: Tensor) -> Image.Image:
    """uint8 [C, H, W] with 1 to 4 channels -> a picture of exactly these pixels."""
    array = np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)


def _free(gan: GAN, seeds: Sequence[int], suffix: str) -> Path:
    """samples/RECIPE-seedN.png, or the first of …-2, …-3 that is not there."""
    name = f"{re.sub(r'[^A-Za-z0-9_-]+', '-', gan.recipe) or 'gan'}-seed{seeds[0]}"
    folder, number = Path("samples"), 2
    path = folder / f"{name}{suffix}"
    while path.exists() or path.with_suffix(".png").exists():
        path, number = folder / f"{name}-{number}{suffix}", number + 1
    return path
