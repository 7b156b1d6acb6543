"""What is in a run folder, at any moment of its training: every file may be missing, half written or of another age."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from organza.report.curves import Point

PICTURES = "pictures"  # the folder of what is drawn of a trained model
_COUNTERS = ("images", "seconds", "step")


@dataclass(frozen=True)
class Tick:
    """The grids of one moment: paths relative to the run folder, None where there is none."""

    images: int
    raw: str | None
    ema: str | None
    codes: str | None = None  # what each code of an InfoGAN does


@dataclass(frozen=True)
class Folder:
    """A run as its files tell it; `series` has each logged key's (images, value) in order."""

    path: Path
    config: Mapping[str, Any]
    env: Mapping[str, Any]
    summary: Mapping[str, Any]
    command: str
    series: Mapping[str, list[Point]]
    notes: tuple[str, ...]
    real: str | None
    ticks: tuple[Tick, ...]
    images: int
    seconds: float
    evaluation: Mapping[str, Any]  # the receipt of `organza evaluate`, if there is one
    diagnosis: Mapping[str, Any]  # the findings of `organza doctor RUN`, if there are
    pictures: Mapping[str, Any]  # what `make_pictures` wrote, if it did
    news: float  # when the run last wrote, seconds since 1970

    @property
    def status(self) -> str:
        """running, finished, stopped or failed; unknown without a readable summary."""
        status = self.summary.get("status")
        return status if status in ("running", "finished", "stopped", "failed") else "unknown"

    @property
    def data(self) -> Mapping[str, Any]:
        """Of the data set: name, count, shape, classes, licence, fingerprint, as far as the summary knows them."""
        return mapping(self.summary.get("data"))


def is_run(path: Path) -> bool:
    """Whether a folder looks like a run: it has a configuration, a summary or a log."""
    return any((path / name).is_file() for name in ("config.json", "summary.json", "log.jsonl"))


def read_folder(path: Path) -> Folder:
    """Everything that can be read of a run. Raises FileNotFoundError where `path` is not a folder."""
    if not path.is_dir():
        raise FileNotFoundError(f"no folder '{path}'")
    log = _log(path / "log.jsonl")
    summary = _json(path / "summary.json")
    last = next((line for line in reversed(log) if is_number(line.get("images"))), {})
    return Folder(
        path=path,
        config=_json(path / "config.json"),
        env=_json(path / "env.json"),
        summary=summary,
        command=_text(path / "command.txt").strip(),
        series=_series(log),
        notes=_notes(summary, log),
        real="samples/real.png" if (path / "samples/real.png").is_file() else None,
        ticks=_ticks(path / "samples"),
        images=int(max(_value(summary.get("images")), _value(last.get("images")))),
        seconds=max(_value(summary.get("seconds")), _value(last.get("seconds"))),
        evaluation=_json(path / "evaluation.json"),
        diagnosis=_json(path / "diagnosis.json"),
        pictures=_json(path / PICTURES / "pictures.json"),
        news=max((f.stat().st_mtime for n in ("log.jsonl", "summary.json") if (f := path / n).is_file()), default=0.0),
    )


def mapping(value: Any) -> Mapping[str, Any]:
    """`value` if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _json(path: Path) -> Mapping[str, Any]:
    try:
        return mapping(json.loads(_text(path)))
    except (ValueError, RecursionError):
        return {}


def _log(path: Path) -> list[Mapping[str, Any]]:
    """The lines that are whole; a killed run may leave a torn one."""
    lines = []
    for line in _text(path).splitlines():
        try:
            lines.append(mapping(json.loads(line)))
        except (ValueError, RecursionError):
            continue
    return lines


def _series(log: list[Mapping[str, Any]]) -> dict[str, list[Point]]:
    """A resumed or rolled-back run repeats images: then the later line counts."""
    series: dict[str, list[Point]] = {}
    for line in log:
        if not is_number(images := line.get("images")):
            continue
        for key, value in line.items():
            if key in _COUNTERS or not is_number(value):
                continue
            points = series.setdefault(str(key), [])
            while points and points[-1][0] >= images:
                points.pop()
            points.append((float(images), float(value)))
    return series


def _notes(summary: Mapping[str, Any], log: list[Mapping[str, Any]]) -> tuple[str, ...]:
    notes = _strings(summary.get("notes"))
    for line in log:
        for key in ("note", "notes", "warning"):
            notes += _strings(line.get(key))
    return tuple(dict.fromkeys(notes))


def _strings(value: Any) -> list[str]:
    return [str(item) for item in (value if isinstance(value, list) else [value]) if item]


def _ticks(samples: Path) -> tuple[Tick, ...]:
    found: dict[int, dict[str, str]] = {}
    for file in samples.glob("*.png"):
        if name := re.fullmatch(r"(\d{1,12})-(raw|ema|codes)\.png", file.name):
            found.setdefault(int(name[1]), {})[name[2]] = f"samples/{file.name}"
    kinds = ("raw", "ema", "codes")
    return tuple(Tick(kimg * 1000, *(found[kimg].get(kind) for kind in kinds)) for kimg in sorted(found))


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether a value of JSON is a number that a float can be."""
    return isinstance(value, float) or (type(value) is int and abs(value) < 10**300)


def _value(value: Any) -> float:
    return float(value) if is_number(value) and abs(value) < 1e18 else 0.0
