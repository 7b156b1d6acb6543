"""The run folder: everything that one training writes, each file whole at any moment."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from organza.config import Config, ConfigError, difference, from_dict, to_dict
from organza.training import checkpoint

KEEP = 2


class Run:
    """A training run on the disk: `path`, its `config`, its `summary`, its log and its checkpoints."""

    def __init__(self, path: str | Path, config: Config | None = None) -> None:
        self.path = Path(path)
        if config is None:
            if not (self.path / "config.json").is_file():
                raise FileNotFoundError(
                    f"{self.path} is no run folder (it has no config.json); organza train makes one"
                )
            try:
                config = from_dict(json.loads((self.path / "config.json").read_text()))
            except (ValueError, AttributeError, LookupError, TypeError) as problem:
                raise ConfigError(f"{self.path / 'config.json'} is no configuration of a run: {problem}") from None
        self.config = config  # complete, as the run was started with
        self.made_here = False  # whether `create` made the folder
        self.stopped_by: int | None = None  # the signal that ended the training of this session

    @classmethod
    def create(cls, path: Path, config: Config) -> Run:
        """Make the folder. Raises ConfigError when there is a run already, OSError when it cannot be written."""
        cls.must_be_free(path)
        new = not path.exists()
        for folder in ("samples", "checkpoints"):
            (path / folder).mkdir(parents=True, exist_ok=True)
        write_json(path / "config.json", to_dict(config))
        (path / "command.txt").write_text(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]) + "\n")
        run = cls(path, config)
        run.made_here = new
        return run

    @staticmethod
    def must_be_free(path: Path) -> None:
        """Raise ConfigError when a run or a model is there; a run without a checkpoint yet is in nobody's way."""
        started = any((path / "checkpoints").glob("*.safetensors")) or not (path / "checkpoints").is_dir()
        if (path / "config.json").exists() and started:
            raise ConfigError(f"{path} holds a run already; add --resume to go on with it, or choose another --out")

    @property
    def summary(self) -> dict[str, Any]:
        """Status, images, seconds, data, parameters, scores and notes, as of the last write; empty if it is damaged."""
        file = self.path / "summary.json"
        try:
            found = json.loads(file.read_text()) if file.is_file() else {}
        except ValueError:  # a checkpoint has its own: the run goes on without it
            return {}
        return found if isinstance(found, dict) else {}

    def must_equal(self, asked: Config) -> None:
        """Raise ConfigError with the difference when a resumed run is asked for another configuration."""
        free = {"images", "output", "autopilot"}  # how long, how often to write, and who steers, may change
        changes = [line for line in difference(self.config, asked) if re.split(r"[.:]", line)[0] not in free]
        if changes:
            shown = "\n  ".join(changes)
            raise ConfigError(
                f"{self.path} was started with another configuration (run -> asked):\n  {shown}\n"
                "Resume without these options, or start a new run with another --out"
            )

    def log(self, record: Mapping[str, Any]) -> None:
        """Append one line to log.jsonl."""
        with (self.path / "log.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")

    def forget_after(self, images: int) -> None:
        """Drop log lines and grids from beyond a checkpoint that the run goes back to."""
        file = self.path / "log.jsonl"
        if file.is_file():
            lines = [line for line in file.read_text().splitlines() if _images_of(line) <= images]
            write_text(file, "".join(line + "\n" for line in lines))
        for picture in (self.path / "samples").glob("[0-9]*-*.png"):
            if int(picture.name.split("-")[0]) * 1000 > images:
                picture.unlink()

    def save_checkpoint(self, images: int, state: dict[str, Any], best: bool) -> Path:
        """Write a checkpoint, keep the last two and the best."""
        path = self._checkpoint(images)
        checkpoint.save(path, state)
        if best:
            self.mark_best(images)
        for old in self.checkpoints()[:-KEEP]:
            old.unlink()
        return path

    def mark_best(self, images: int) -> None:
        """Give the checkpoint at `images` the second name `best`."""
        _link(self._checkpoint(images), self.path / "checkpoints" / "best.safetensors")

    def mark_healthy(self, images: int) -> None:
        """Give the checkpoint at `images` the second name `healthy`, to which the autopilot goes back."""
        _link(self._checkpoint(images), self.path / "checkpoints" / "healthy.safetensors")

    def healthy_state(self) -> dict[str, Any]:
        """The checkpoint `healthy`. Raises DamagedError when it is not whole."""
        return checkpoint.load(self.path / "checkpoints" / "healthy.safetensors")

    def _checkpoint(self, images: int) -> Path:
        return self.path / "checkpoints" / f"{images:09d}.safetensors"

    def checkpoints(self) -> list[Path]:
        """The numbered checkpoints, oldest first."""
        files = (self.path / "checkpoints").glob("[0-9]*.safetensors")
        return sorted(files, key=lambda file: (len(file.name), file.name))  # 999999999 comes before 1000000000

    def newest_state(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The state of the newest whole checkpoint (None without one), and what was wrong with newer ones."""
        problems: list[str] = []
        for file in sorted((self.path / "checkpoints").iterdir()):
            if file.suffix in checkpoint.PICKLES:
                problems.append(f"{file.name} is a pickle and was not opened")
        for path in reversed(self.checkpoints()):
            try:
                return checkpoint.load(path), problems
            except checkpoint.DamagedError as problem:
                problems.append(str(problem))
        return None, problems


def new_folder(name: str) -> Path:
    """`runs/NAME`, or the first of `runs/NAME-2`, … that is free."""
    path, number = Path("runs") / name, 2
    while path.exists():
        path, number = Path("runs") / f"{name}-{number}", number + 1
    return path


def newest_run(parent: Path = Path("runs")) -> Path:
    """The run in `runs/` that was written to last. Raises FileNotFoundError without one."""
    runs = [file.parent for file in parent.glob("*/config.json")]
    if not runs:
        raise FileNotFoundError(
            f"there is no run in {parent}/ to resume; name one with --out, or train without --resume"
        )
    return max(runs, key=lambda run: max(file.stat().st_mtime for file in run.iterdir()))


def write_text(path: Path, text: str) -> None:
    """Replace a file in one step."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.replace(path)


def write_json(path: Path, values: Any) -> None:
    """Replace a JSON file in one step."""
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def _link(source: Path, target: Path) -> None:
    """A second name for a file, or a copy where the disk has no links; the target is replaced in one step."""
    partial = target.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    try:
        os.link(source, partial)
    except OSError:
        shutil.copyfile(source, partial)
    partial.replace(target)


def _images_of(line: str) -> float:
    try:
        return json.loads(line)["images"]
    except (ValueError, KeyError, TypeError):  # the torn last line of a killed run
        return float("inf")
