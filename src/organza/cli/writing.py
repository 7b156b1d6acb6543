"""Where samples go: a grid, one picture for each seed, an array, or a film."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from organza.cli.console import Console
from organza.cli.options import FilmOptions
from organza.cli.words import UNWRITTEN, file_name
from organza.config import ConfigError
from organza.hub import GAN
from organza.latent.film import Film
from organza.latent.mixing import Mixture
from organza.report.grid import grid_image, picture, save_png
from organza.report.provenance import mark_of, name_of, packet
from organza.report.video import CHANNELS, FilmWriter, begun_folder, ended_folder

Kind = Literal["grid", "folder", "array", "points"]
Lines = list[tuple[str, str]]
LARGEST_STILL = 2_000  # samples of a film in one picture


def target(out: str, gan: GAN, seeds: Sequence[int], largest_grid: int) -> tuple[Kind, Path]:
    """What to write and where; without `out` a place in samples/ where nothing is yet. Raises ConfigError."""
    points = len(gan.shape) == 1
    path = Path(out).expanduser() if out else free(gan, f"seed{seeds[0]}", ".npy" if points else ".png")
    suffix = path.suffix.lower()
    kind: Kind = "grid" if suffix == ".png" else "array" if suffix in (".npy", ".npz") else "folder"
    if not out and points:
        kind = "points"
    if suffix in (*UNWRITTEN, ".gif", ".mp4"):
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
        return mark_of(self.gan, seed, marked=self.marked)

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


def free(gan: GAN, what: str, suffix: str) -> Path:
    """samples/RECIPE-WHAT, or the first of …-2, …-3 that is not there."""
    name = f"{file_name(gan.recipe) or 'gan'}-{what}"
    folder, number = Path("samples"), 2
    path = folder / f"{name}{suffix}"
    while path.exists() or path.with_suffix(".png").exists():
        path, number = folder / f"{name}-{number}{suffix}", number + 1
    return path


def film_target(options: FilmOptions, gan: GAN, what: str) -> Path:
    """Where a film goes; without `out` a place in samples/ where nothing is yet. Raises ConfigError."""
    points, out = len(gan.shape) == 1, options.out
    path = Path(out).expanduser() if out else free(gan, what, ".png" if points else ".gif")
    suffix = path.suffix.lower()
    if suffix in (*UNWRITTEN, ".npy", ".npz"):
        raise ConfigError(f"out is '{out}'; it takes .gif, .mp4, .png (a still) or a folder of frames")
    if points and suffix != ".png":
        raise ConfigError(f"these samples are points, which make no film; type --out {path.with_suffix('.png')}")
    if not points and gan.shape[0] not in CHANNELS:
        raise ConfigError(f"samples with {gan.shape[0]} channels make no picture; organza sample writes them as .npy")
    if options.fps and suffix == ".png":
        raise ConfigError("fps has no effect on a still picture; type --out FILE.gif, or leave it out")
    return path


def write_film(
    film: Film, options: FilmOptions, gan: GAN, console: Console, name: str, marked: bool
) -> Lines:  # fmt: skip
    """Draw and write, as `name` where no place is given; a line for what is written, and a note for what is not."""
    path, rate, (columns, _) = film_target(options, gan, name), options.rate(), options.size()
    mark = packet(name_of(gan), gan.sha256, film.seed) if marked else None
    if path.suffix.lower() == ".png":
        return _write_still(film, path, console, mark_of(gan, film.seed, marked=marked))
    with FilmWriter(path, rate, columns=columns, mark=mark) as writer:
        for frames in _shown(film, console):
            writer.take(frames)
        console.wait(f"writing {writer.path}")
    if writer.note:
        console.note(writer.note)
    return [("replaced" if writer.replaced else "written", writer.told())]


def write_figure(
    mixture: Mixture, path: Path, gan: GAN, rows: Sequence[int], columns: Sequence[int], marked: bool
) -> tuple[str, str]:
    """The figure of mixing as one picture; what became of the file, and the beginning of what is told."""
    verb = "replaced" if path.exists() else "written"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(grid_image(mixture.cells(), len(columns) + 1), path, mark_of(gan, rows[0], marked=marked))
    return verb, f"{path} ("


def write_cells(
    mixture: Mixture, path: Path, gan: GAN, rows: Sequence[int], columns: Sequence[int], marked: bool
) -> tuple[str, str]:
    """Each picture of the figure as a file of a new folder: row0000.png, column0100.png, row0000-column0100.png, ….

    Raises ConfigError for a folder with files in it, and for a seed that is there twice.
    """
    seeds = [rows, columns]
    if any(len(set(some)) < len(some) for some in seeds):
        raise ConfigError("a seed is there twice in the rows or in the columns, and would be written twice")
    cells = [(f"row{row:04}", row, mixture.rows[i]) for i, row in enumerate(rows)]
    cells += [(f"column{column:04}", column, mixture.columns[j]) for j, column in enumerate(columns)]
    cells += [
        (f"row{row:04}-column{column:04}", row, mixture.mixed[i, j])
        for i, row in enumerate(rows) for j, column in enumerate(columns)
    ]  # fmt: skip
    part = begun_folder(path, "pictures")
    try:
        for name, seed, cell in cells:
            save_png(one_image(cell), part / f"{name}.png", mark_of(gan, seed, marked=marked))
        ended_folder(part, path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return "written", f"{path}{os.sep} ({len(cells):,} pictures; "


def _write_still(film: Film, path: Path, console: Console, mark: PngInfo | None) -> Lines:
    """A row for each track; of points one plot."""
    if film.count * max(film.tracks, 1) > LARGEST_STILL:
        raise ConfigError(f"{film.count:,} frames are too many for one still; type --frames 8, or --out FILE.gif")
    verb = "replaced" if path.exists() else "written"
    frames = torch.cat(list(_shown(film, console)))
    rows = frames.transpose(0, 1).flatten(0, 1) if film.tracks else frames
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(picture(rows, columns=film.count), path, mark)
    return [(verb, f"{path} ({film.count:,} frames in a row)")]


def _shown(film: Film, console: Console) -> Iterator[Tensor]:
    """The frames, with their progress."""
    started, done = time.monotonic(), 0
    for frames in film:
        yield frames
        done += len(frames)
        console.paced("drawing frames", done, film.count, started)
