"""What the verbs `project` and `edit` share: a place to write to, and how long it still takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from organza.cli.console import Console
from organza.cli.words import UNWRITTEN, file_name
from organza.config import ConfigError

if TYPE_CHECKING:
    from organza.hub import GAN


class Timed:
    """An `organza.data.Progress` on the console, which tells how long the work at hand still takes."""

    def __init__(self, console: Console) -> None:
        self.console, self.what, self.began = console, "", 0.0

    def step(self, what: str, done: int, total: int) -> None:
        """Tell, by what the steps so far have taken."""
        now = time.monotonic()
        if what != self.what:
            self.what, self.began, self.first = what, now, done
        spent, since = now - self.began, done - self.first
        left = f" ({clock(spent / since * (total - done))} left)" if since and total else ""
        self.console.step(f"{what}{left}", done, total)

    def note(self, message: str) -> None:
        """Something that the user should know."""
        self.console.note(message)


def clock(seconds: float) -> str:
    """1:02:03, or 2:03."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def must_be_images(gan: GAN, verb: str) -> None:
    """Raise ConfigError for a GAN whose samples make no picture."""
    if len(gan.shape) != 3 or gan.shape[0] not in (1, 2, 3, 4):
        raise ConfigError(
            f"samples of this GAN ({gan.recipe}) have the shape {list(gan.shape)}, which makes no picture; in Python "
            f"the tools of organza.latent that 'organza {verb}' calls take them"
        )


def new_folder(out: str, kind: str, gan: GAN, name: str, files: Sequence[str]) -> Path:
    """The folder to write to, made: `out`, else a new one in `kind`/. Raises ConfigError for one that has the files."""
    if out:
        path = Path(out).expanduser()
        if path.is_file() or path.suffix.lower() in (*UNWRITTEN, ".png", ".gif", ".mp4", ".npz"):
            raise ConfigError(f"out is '{out}'; it takes a folder")
        there = [file for file in files if (path / file).exists()]
        if there:
            raise ConfigError(f"{out} has {', '.join(there)} already, which would be lost; choose another folder")
    else:
        path, at = Path(kind) / f"{file_name(gan.recipe) or 'gan'}-{file_name(name)}", 2
        first = path
        while path.exists():
            path, at = first.with_name(f"{first.name}-{at}"), at + 1
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def emptied(folder: Path) -> Iterator[None]:
    """Work that fills a folder: where it ends before it wrote anything, the folder goes as well."""
    try:
        yield
    except BaseException:
        with suppress(OSError):  # not empty
            folder.rmdir()
        raise
