"""What every benchmark writes beside its numbers."""

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
    about = environment(torch.device(device))
    kept = {key: about[key] for key in ("hardware", "threads", "torch", "organza", "python")} | {"seed": seed}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], *kept])
        writer.writeheader()
        writer.writerows({**row, **kept} for row in rows)
    print(f"wrote {path.name}", file=sys.stderr)
    return path
