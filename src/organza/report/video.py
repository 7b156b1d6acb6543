"""Films as files: GIF, MP4 (by ffmpeg) or a folder of PNG frames, whole or not there at all."""

from __future__ import annotations

import itertools
import math
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from organza.config import ConfigError
from organza.report.grid import opaque, save_png, tiled
from organza.report.h264 import coded, even
from organza.report.provenance import into_gif, sentence

LEAST = 128  # pixels of the longer side of a sample in a film; smaller ones are enlarged by a whole factor
FASTEST_GIF = 50  # frames a second: browsers slow shorter delays down
PALETTE_PIXELS = 500_000  # that the colours of a GIF are chosen from
CRF = 18  # of H.264: hardly to be told from the original
CHANNELS = (1, 2, 3, 4)  # that a picture can have

Pixels = np.ndarray[Any, Any]


class Sink(Protocol):
    """One kind of file."""

    def take(self, frame: Pixels) -> None:
        """The next frame, uint8 [H, W, C]."""
        ...

    def close(self) -> None:
        """Finish, and put the file in its place."""
        ...

    def abandon(self) -> None:
        """Leave nothing behind."""
        ...


class FilmWriter:
    """Takes frames uint8 [F, C, H, W], or [F, T, C, H, W] of T tracks, shown side by side in rows of `columns`.

    In a `with` block, which puts the file in its place at the end; after an error or Ctrl-C nothing is left. `path`
    ends in .gif or .mp4, else it is a folder of frames (exact pixels). Without ffmpeg an MP4 becomes such a folder
    beside it, and `note` says so; an MP4 of an odd side has its edge twice. `mark` is a `provenance.packet`. Raises
    ConfigError for a folder with files in it, a rate that the format has not and samples that make no picture.
    """

    def __init__(self, path: Path, rate: float = 30, *, columns: int | None = None, mark: str | None = None) -> None:
        if not 0 < rate <= 1000:
            raise ConfigError(f"fps is {rate}; it takes a number above 0, such as 30")
        self.path, self.rate, self.columns, self.note = path, rate, columns, ""
        suffix = path.suffix.lower()
        if suffix == ".mp4" and shutil.which("ffmpeg") is None:
            self.path = path.with_suffix("")
        self.replaced, self.count, self.size = self.path.is_file(), 0, (0, 0)
        self.enlarges = suffix in (".gif", ".mp4") and self.path == path
        self.sink: Sink
        if self.enlarges:
            self.sink = Gif(path, rate, mark) if suffix == ".gif" else Mp4(path, rate, mark)
        else:
            self.sink = Frames(self.path, mark)
            self.note = "" if self.path == path else _to_do(self.path, path, rate)

    def take(self, frames: Tensor) -> None:
        """The next frames."""
        if frames.dim() not in (4, 5) or frames.shape[-3] not in CHANNELS:
            raise ConfigError(f"samples of the shape {tuple(frames.shape[1:])} make no film; it takes images of 1 to 4 "
                              "channels")  # fmt: skip
        for frame in frames:
            picture = self._picture(frame if frame.dim() == 4 else frame[None])
            picture = even(picture) if isinstance(self.sink, Mp4) else picture
            self.size = picture.shape[1], picture.shape[0]
            self.sink.take(picture)
            self.count += 1

    def _picture(self, tracks: Tensor) -> Pixels:
        """Images [T, C, H, W] of one moment -> [H', W', C']."""
        cells = tracks.permute(0, 2, 3, 1).cpu().numpy()
        count, height, width, _ = cells.shape
        if self.enlarges:
            factor = max(1, math.ceil(LEAST / max(height, width)))
            cells = opaque(cells).repeat(factor, 1).repeat(factor, 2)
        columns = self.columns or math.ceil(math.sqrt(count * height / width))
        return cells[0] if count == 1 else tiled(cells, min(count, columns))

    def told(self) -> str:
        """What was written, in words."""
        return (f"{self.path}{'' if self.enlarges else os.sep} ({self.count:,} frames, {self.count / self.rate:.1f} s, "
                f"{self.size[0]}x{self.size[1]})")  # fmt: skip

    def __enter__(self) -> FilmWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if problem is not None:
            self.sink.abandon()
            return
        try:
            self.sink.close()
        except BaseException:
            self.sink.abandon()
            raise


class Gif:
    """One palette for all frames, so that still colours stay still; hence the frames wait in a file without a name."""

    def __init__(self, path: Path, rate: float, mark: str | None) -> None:
        if rate > FASTEST_GIF:
            raise ConfigError(f"a GIF shows at most {FASTEST_GIF} frames a second, not {rate:g}; type --fps "
                              f"{FASTEST_GIF} or --out {path.with_suffix('.mp4')}")  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.rate, self.mark, self.part = path, rate, mark, partial(path)
        self.spill = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115 (closed by close and abandon)
        self.shape, self.count = (0, 0, 0), 0

    def take(self, frame: Pixels) -> None:
        """Keep."""
        self.shape, self.count = frame.shape, self.count + 1
        self.spill.write(np.ascontiguousarray(frame).tobytes())

    def close(self) -> None:
        """Choose colours and write."""
        self.spill.flush()
        frames = np.memmap(self.spill, np.uint8, "r", shape=(self.count, *self.shape))
        colours = _palette(frames) if self.shape[2] == 3 else None
        pictures = (_in_colours(frame, colours) for frame in frames)
        first = next(pictures)
        first.save(self.part, "GIF", save_all=True, append_images=pictures, duration=self._delays(), loop=0)
        if self.mark is not None:
            self.part.write_bytes(into_gif(self.part.read_bytes(), self.mark))
        del frames
        self.spill.close()
        self.part.replace(self.path)

    def _delays(self) -> list[int]:
        """Milliseconds of each frame, in hundredths of a second, which sum to the true length."""
        ends = [round(100 * number / self.rate) for number in range(self.count + 1)]
        return [10 * (b - a) for a, b in itertools.pairwise(ends)]

    def abandon(self) -> None:
        """Forget the frames."""
        self.spill.close()
        self.part.unlink(missing_ok=True)


class Mp4:
    """H.264 that every player shows: yuv420p, which takes even sizes alone."""

    def __init__(self, path: Path, rate: float, mark: str | None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.rate, self.mark, self.part = path, rate, mark, partial(path)
        self.process: subprocess.Popen[bytes] | None = None
        self.said = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close and abandon)

    def take(self, frame: Pixels) -> None:
        """Hand over."""
        frame = frame.repeat(3 // frame.shape[2], 2)
        if self.process is None:
            self.process = self._started(frame.shape[1], frame.shape[0])
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(np.ascontiguousarray(frame).tobytes())
        except BrokenPipeError:
            self.process.wait()
            raise self._problem() from None

    def _started(self, width: int, height: int) -> subprocess.Popen[bytes]:
        comment = [] if self.mark is None else ["-metadata", f"comment={sentence(self.mark)}"]
        command = [
            "ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}",
            "-r", f"{self.rate}", "-i", "-", "-an", *coded(CRF), *comment, "-f", "mp4", str(self.part),
        ]  # fmt: skip
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self.said)

    def close(self) -> None:
        """Wait for the last frame."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.close()
        if self.process.wait():
            raise self._problem()
        self.said.close()
        self.part.replace(self.path)

    def _problem(self) -> ConfigError:
        self.said.seek(0)
        lines = self.said.read().decode("utf-8", "replace").strip().splitlines()
        return ConfigError(f"ffmpeg could not write {self.path} ({lines[-1] if lines else 'it gave no reason'}); write "
                           f"the frames instead: --out {self.path.with_suffix('')}")  # fmt: skip

    def abandon(self) -> None:
        """Stop ffmpeg."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
        self.said.close()
        self.part.unlink(missing_ok=True)


class Frames:
    """00000.png, 00001.png, … in a folder, which has another name until all are there."""

    def __init__(self, path: Path, mark: str | None) -> None:
        self.path, self.part, self.count = path, begun_folder(path, "frames"), 0
        self.info = PngInfo() if mark is not None else None
        if self.info is not None and mark is not None:
            self.info.add_itxt("XML:com.adobe.xmp", mark)

    def take(self, frame: Pixels) -> None:
        """Write one."""
        picture = Image.fromarray(np.ascontiguousarray(frame[..., 0] if frame.shape[2] == 1 else frame))
        save_png(picture, self.part / f"{self.count:05}.png", self.info)
        self.count += 1

    def close(self) -> None:
        """Give the folder its name."""
        ended_folder(self.part, self.path)

    def abandon(self) -> None:
        """Remove what is there."""
        shutil.rmtree(self.part, ignore_errors=True)


def begun_folder(path: Path, what: str) -> Path:
    """A folder under another name until it is whole. Raises ConfigError where the files would mix with others."""
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise ConfigError(f"{what} would mix with what is in {path}; give another --out, or remove it")
    part = partial(path)
    part.mkdir(parents=True, exist_ok=True)
    return part


def ended_folder(part: Path, path: Path) -> None:
    """Give it its name."""
    if path.is_dir():
        path.rmdir()
    part.replace(path)


def partial(path: Path) -> Path:
    """The name of a file that is not yet whole, beside it."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _palette(frames: Pixels) -> Image.Image:
    """256 colours for frames [F, H, W, 3], chosen by median cut from pixels of all of them."""
    count = len(frames) * frames.shape[1] * frames.shape[2]
    places = np.arange(count)
    if count > PALETTE_PIXELS:
        places = np.sort(np.random.RandomState(0).randint(0, count, PALETTE_PIXELS))
    pixels = frames.reshape(-1, 3)[places]
    return Image.fromarray(pixels[None]).quantize(256, Image.Quantize.MEDIANCUT)


def _in_colours(frame: Pixels, colours: Image.Image | None) -> Image.Image:
    """A frame [H, W, C] in the colours of the palette; grey ones have their own 256."""
    if colours is None:
        return Image.fromarray(np.ascontiguousarray(frame[..., 0]))
    return Image.fromarray(np.ascontiguousarray(frame)).quantize(palette=colours, dither=Image.Dither.NONE)


def _to_do(folder: Path, film: Path, rate: float) -> str:
    """What makes an MP4 of the frames."""
    even = "pad=ceil(iw/2)*2:ceil(ih/2)*2"
    command = ["ffmpeg", "-framerate", f"{rate:g}", "-i", f"{folder}/%05d.png", "-vf", even, "-pix_fmt", "yuv420p",
               "-crf", f"{CRF}", str(film)]  # fmt: skip
    return (f"ffmpeg is not installed: the frames are in {folder}{os.sep}; where it is, make the film with: "
            f"{shlex.join(command)}")  # fmt: skip
