"""Films frame by frame through ffmpeg: read as RGB, changed, and written with the sound of the original."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from organza.config import ConfigError
from organza.report.h264 import coded, even

ENDINGS = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".mpg")
CRF = 16  # of H.264: hardly to be told from what was made


@dataclass(frozen=True)
class Footage:
    """What ffprobe tells of a film, upright; one of varying rate is read at its mean, so that it stays as long."""

    path: Path
    width: int
    height: int
    rate: str  # frames a second, as a fraction
    frames: int  # 0 where the file does not say

    def __iter__(self) -> Iterator[np.ndarray]:
        """Frames uint8 [H, W, 3], upright. Raises ValueError where the film ends before its first frame."""
        shown = ["-map", "0:v:0", "-vf", f"fps={self.rate}", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        words = ["-i", str(self.path), *shown]
        size, count = self.width * self.height * 3, 0
        with subprocess.Popen(
            [*_program("ffmpeg"), *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            try:
                while len(content := process.stdout.read(size)) == size:
                    count += 1
                    yield np.frombuffer(content, np.uint8).reshape(self.height, self.width, 3)
            finally:
                process.kill()
        if not count:
            raise ValueError(f"{self.path.name}: no frame of it could be read")


def open_footage(path: Path) -> Footage:
    """Raises ConfigError without ffmpeg, ValueError for what is no film."""
    entries = "stream=width,height,avg_frame_rate,nb_frames:stream_side_data=rotation"
    words = ["-select_streams", "v:0", "-show_entries", entries, "-of", "json", str(path)]
    done = subprocess.run([*_program("ffprobe"), *words], capture_output=True, text=True, check=False)
    try:
        told = json.loads(done.stdout)["streams"][0]
        width, height, rate = int(told["width"]), int(told["height"]), str(told["avg_frame_rate"])
        turned = any(int(side.get("rotation", 0)) % 180 for side in told.get("side_data_list", []))
    except (IndexError, KeyError, TypeError, ValueError):
        raise ValueError(f"{path.name}: no film that ffmpeg reads") from None
    width, height = (height, width) if turned else (width, height)
    frames = str(told.get("nb_frames", ""))
    return Footage(path, width, height, rate if rate != "0/0" else "25", int(frames) if frames.isdecimal() else 0)


class FootageWriter:
    """Takes frames uint8 [H, W, 3]; an MP4 with the original's sound, whole or not there at all."""

    def __init__(self, path: Path, like: Footage, mark: str) -> None:
        self.path, self.like, self.mark = path, like, mark
        self.part = path.with_name(f".{path.stem}.{os.getpid()}.part.mp4")
        self.process: subprocess.Popen[bytes] | None = None
        self.said = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the film); what ffmpeg says; a pipe could fill and stop it

    def take(self, frame: np.ndarray) -> None:
        """The next frame."""
        frame = even(frame)
        if self.process is None:
            height, width, _ = frame.shape
            self.process = subprocess.Popen(self._words(width, height), stdin=subprocess.PIPE, stderr=self.said)
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(np.ascontiguousarray(frame).tobytes())
        except BrokenPipeError:
            self._fail()

    def close(self) -> None:
        """Finish, and put the film in its place. Raises ValueError when ffmpeg fails."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.close()
        if self.process.wait():
            self._fail()
        self.part.replace(self.path)

    def abandon(self) -> None:
        """Leave nothing behind."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        self.said.close()
        self.part.unlink(missing_ok=True)

    def _words(self, width: int, height: int) -> list[str]:
        return [
            *_program("ffmpeg"), "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r",
            self.like.rate, "-i", "-", "-i", str(self.like.path), "-map", "0:v", "-map", "1:a?", "-c:a", "copy",
            *coded(CRF), "-metadata", f"comment={self.mark}", str(self.part),
        ]  # fmt: skip

    def _fail(self) -> None:
        self.said.seek(0)
        lines = self.said.read().decode("utf-8", "replace").strip().splitlines()
        raise ValueError(f"{self.path.name} was not written: ffmpeg says: {lines[-1] if lines else 'nothing'}")


def _program(name: str) -> list[str]:
    if shutil.which(name) is None:
        raise ConfigError(f"films need {name}, which is not there; install ffmpeg, or give pictures")
    return [name, "-nostdin", "-v", "error"] if name == "ffmpeg" else [name, "-v", "error"]
