"""What every benchmark writes beside its numbers, and tables that are filled row by row."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from organza.training.environment import environment

RESULTS = Path(__file__).parent / "results"


def write_rows(name: str, rows: Sequence[Mapping[str, Any]], seed: int, device: str = "cpu") -> Path:
    """`results/NAME.csv`, each row with machine, versions and seed."""
    kept = _about(device) | {"seed": seed}
    return _write(name, [{**row, **kept} for row in rows])


def read_rows(name: str) -> list[dict[str, str]]:
    """The rows of `results/NAME.csv` as they were written, or none."""
    path = RESULTS / f"{name}.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def keep_row(name: str, row: Mapping[str, Any], keys: Sequence[str], seed: int, device: str = "cpu") -> Path:
    """One row, with machine, versions and seed, into `results/NAME.csv`: in the place of the row with equal `keys`."""
    new = {**row, **_about(device), "seed": seed}
    rows: list[Mapping[str, Any]] = list(read_rows(name))
    at = next((i for i, old in enumerate(rows) if all(old[key] == str(new[key]) for key in keys)), len(rows))
    return _write(name, [*rows[:at], new, *rows[at + 1 :]])


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table for the docs; the first row is its head, columns but the first are aligned to the right."""
    ruler = ["---", *["--:"] * (len(rows[0]) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], ruler, *rows[1:]))


def _about(device: str) -> dict[str, Any]:
    about = environment(torch.device(device))
    return {key: about[key] for key in ("hardware", "threads", "torch", "organza", "python")}


def _write(name: str, rows: Sequence[Mapping[str, Any]]) -> Path:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.csv"
    partial = path.with_suffix(".partial")  # an interrupted benchmark loses one row and not the table
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[-1]))
        writer.writeheader()
        writer.writerows(rows)
    partial.replace(path)
    print(f"wrote {path.name}", file=sys.stderr)
    return path
