"""Modes that every recipe finds on mixtures of Gaussians, in about a minute of training each.

    python benchmarks/modes.py --minutes 1                      # all recipes, both mixtures, seeds 0 to 2: an hour
    python benchmarks/modes.py r3gan gan --data grid --seeds 0  # some; rows of the table are kept
    python benchmarks/modes.py --table                          # the table of the docs

`ring` has 8 modes of deviation 0.02, `grid` 25 of deviation 0.05. 2 500 samples of the averaged generator; a sample is
of high quality within 3 deviations of a mode, and a mode is found when it has such a sample (VEEGAN, arXiv:1705.07761).
Every recipe trains with its own defaults for points, whose budgets are a minute on two free cores; `--minutes` also
stops the clock. On the grid, PacGAN2 is published with 25 modes and about 80 % (arXiv:1712.04086).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from common import keep_row, markdown, read_rows

import organza
from organza.config import ConfigError
from organza.data.synthetic import grid_modes, ring_modes
from organza.metrics.modes import mode_coverage
from organza.recipes import RECIPES
from organza.training.assemble import resolve

NAME, KEYS = "modes", ("recipe", "data", "seed")
SAMPLES, FIRST_SEED = 2_500, 1_000_000
MIXTURES = {"ring": (ring_modes(), 0.02), "grid": (grid_modes(), 0.05)}


def takes_points(recipe: str) -> bool:
    """Whether a recipe plays with points; the others say no with a ConfigError."""
    try:
        resolve(RECIPES[recipe]((2,), "laptop"))
    except ConfigError:
        return False
    return True


def measure(recipe: str, data: str, seed: int, minutes: float | None) -> dict[str, Any]:
    """Train as the command line would, and judge the exported model."""
    config = RECIPES[recipe]((2,), "laptop")
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        run = organza.train(
            recipe, data=data, out=Path(folder) / "run", images=config.images, minutes=minutes, seed=seed, device="cpu"
        )
        gan, summary = organza.load(run.path, "cpu"), run.summary
    cpu_seconds = time.process_time() - began
    centres, deviation = MIXTURES[data]
    modes, share = mode_coverage(gan.sample(SAMPLES, seed=FIRST_SEED), torch.from_numpy(centres), deviation)
    return {
        "recipe": recipe, "data": data, "modes": modes, "high_quality": round(share, 4), "labels": config.conditional,
        "images": summary["images"], "budget": config.images, "seconds": summary["seconds"],
        "cpu_seconds": round(cpu_seconds, 1),
    }  # fmt: skip


def table() -> str:
    """Mean and range over the seeds, the best on the grid first."""
    rows = read_rows(NAME)
    recipes = sorted({row["recipe"] for row in rows}, key=lambda recipe: (-_mean(rows, recipe, "grid"), recipe))
    head = ["recipe", "ring: modes of 8", "high quality", "grid: modes of 25", "high quality", "CPU seconds", "seeds"]
    return markdown([head, *(_line(rows, recipe) for recipe in recipes)])


def _line(rows: list[dict[str, str]], recipe: str) -> list[str]:
    mine = [row for row in rows if row["recipe"] == recipe]
    cells = [f"`{recipe}`" + (" (told the mode)" if mine[0]["labels"] == "True" else "")]
    for data in MIXTURES:
        cells += [_range(mine, data, "modes", "{:.0f}", 1), _range(mine, data, "high_quality", "{:.1f} %", 100)]
    seconds = statistics.mean(float(row["cpu_seconds"]) for row in mine)
    return [*cells, f"{seconds:.0f}", str(len({row["seed"] for row in mine}))]


def _range(rows: list[dict[str, str]], data: str, column: str, form: str, times: float) -> str:
    values = [times * float(row[column]) for row in rows if row["data"] == data]
    if not values:
        return ""
    mean, least, most = (form.format(f(values)) for f in (statistics.mean, min, max))
    return mean if least == most else f"{mean} ({least} to {most})"


def _mean(rows: list[dict[str, str]], recipe: str, data: str) -> float:
    values = [float(row["high_quality"]) for row in rows if (row["recipe"], row["data"]) == (recipe, data)]
    return statistics.mean(values) if values else 0.0


def main() -> None:
    """Measure what the table lacks, and keep each row at once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", help="all that take points, if none is named")
    parser.add_argument("--data", nargs="+", choices=list(MIXTURES), default=list(MIXTURES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, help="stop a training sooner than its recipe would")
    parser.add_argument("--table", action="store_true", help="print what was measured")
    options = parser.parse_args()
    recipes = options.recipes or [recipe for recipe in RECIPES if takes_points(recipe)]
    known = {tuple(row[key] for key in KEYS) for row in read_rows(NAME)}
    wanted = [(recipe, data, seed) for seed in options.seeds for data in options.data for recipe in recipes]
    for recipe, data, seed in [] if options.table else wanted:
        if (recipe, data, str(seed)) not in known:
            row = measure(recipe, data, seed, options.minutes)
            print(row, flush=True)
            keep_row(NAME, row, KEYS, seed)
    print(table())


if __name__ == "__main__":
    main()
