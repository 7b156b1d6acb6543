"""What each recipe reaches on its own budget: the table of the README.

    python benchmarks/recipes.py                 # all; the recipes take from two to ten minutes each on two cores
    python benchmarks/recipes.py cgan r3gan      # some; the other rows of results/recipes.csv are kept

Digits: Fréchet distance in the features of the embedded classifier, 10 000 samples of the average against the test
set. Points: modes found and share within 3 sigma of one, 2 500 samples (arXiv:1705.07761). The grids are kept.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from common import RESULTS, write_rows

import organza
from organza.data import open_dataset
from organza.data.synthetic import ring_modes
from organza.metrics.digits import digit_features
from organza.metrics.frechet import frechet_distance
from organza.metrics.modes import mode_coverage
from organza.report.grid import picture, save_png

RUNS = {
    "gan": ("gan", "mnist"),
    "gan ring": ("gan", "ring"),
    "dcgan": ("dcgan", "mnist"),
    "cgan": ("cgan", "mnist"),
    "wgan-gp": ("wgan-gp", "mnist"),
    "r3gan": ("r3gan", "mnist"),
}


def measure(name: str, seed: int) -> dict[str, Any]:
    """Train as the command line would, and judge the exported model."""
    recipe, data = RUNS[name]
    with tempfile.TemporaryDirectory() as folder:
        run = organza.train(recipe, data=data, out=Path(folder) / "run", seed=seed)
        gan = organza.load(run.path)
        summary = run.summary
    points = len(gan.shape) == 1
    samples = gan.sample(2_500 if points else 10_000, seed=1_000_000)
    real = open_dataset(data).images[:2_500] if points else None
    save_png(picture(samples if points else samples[:64], real), RESULTS / f"recipe-{name.replace(' ', '-')}.png")
    row = {"recipe": recipe, "data": data, "images": summary["images"], "seconds": summary["seconds"]}
    row |= {f"{player}_parameters": count for player, count in summary["parameters"].items()}
    return row | (_points(samples) if points else _digits(samples))


def _digits(samples: torch.Tensor) -> dict[str, Any]:
    real, _ = digit_features(open_dataset("mnist", split="test").images)
    features, digits = digit_features(samples)
    shares = torch.bincount(digits, minlength=10) / len(digits)
    distance = round(frechet_distance(real=real, fake=features), 2)
    return {"frechet_digits": distance, "rarest_digit": round(float(shares.min()), 4), "modes": "", "high_quality": ""}


def _points(samples: torch.Tensor) -> dict[str, Any]:
    modes, share = mode_coverage(samples, torch.from_numpy(ring_modes()), 0.02)
    return {"frechet_digits": "", "rarest_digit": "", "modes": modes, "high_quality": round(share, 4)}


def main(names: list[str]) -> None:
    """Measure and write after each recipe, so that nothing is lost."""
    file, rows = RESULTS / "recipes.csv", {}
    if file.exists():
        with file.open() as open_file:
            rows = {f"{r['recipe']} {r['data']}": dict(list(r.items())[:10]) for r in csv.DictReader(open_file)}
    for name in names or RUNS:
        rows[" ".join(RUNS[name])] = measure(name, seed=0)
        print(rows[" ".join(RUNS[name])], flush=True)
        write_rows("recipes", list(rows.values()), seed=0)


if __name__ == "__main__":
    main(sys.argv[1:])
