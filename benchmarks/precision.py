"""Are samples as good where a recipe computes in bfloat16? The same training in both, on a CPU that has bfloat16.

    python benchmarks/precision.py --seeds 0 1 2         # about half an hour on one core
    python benchmarks/precision.py gan --seeds 0         # some; the other rows of results/precision.csv are kept
    python benchmarks/precision.py --table               # the table of the docs

The two recipes that gain most from bfloat16 (`training_speed.py`), at the size `laptop`, for as many images in both;
10 000 samples of the average, judged as `recipes.py` does.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from common import keep_row, markdown, read_rows
from recipes import FIRST_SEED, SAMPLES, SIDE, of_digits, of_emoji

import organza

NAME, KEYS = "precision", ("recipe", "data", "precision", "seed")
CASES = {"gan": ("mnist", 200_000), "biggan": ("emoji", 50_000)}  # recipe -> data and images
PRECISIONS = ("float32", "bfloat16")


def measure(recipe: str, precision: str, seed: int) -> dict[str, Any]:
    """Train and judge."""
    data, images = CASES[recipe]
    changes: dict[str, Any] = {"precision": precision} | ({"data.resolution": SIDE} if data == "emoji" else {})
    changes |= {"output.score": False, "output.evaluate": False, "output.pictures": False}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        run = organza.train(recipe, data=data, out=out, images=images, seed=seed, device="cpu", changes=changes)
        gan, summary = organza.load(run.path), run.summary
    samples = gan.sample(SAMPLES, seed=FIRST_SEED)
    row = {"recipe": recipe, "data": data, "precision": precision, "images": summary["images"]}
    row |= {"seconds": summary["seconds"]}
    return row | (of_digits(samples) if data == "mnist" else of_emoji(samples))


def table() -> str:
    """Both precisions beside each other, mean and range over the seeds."""
    head = ["recipe", "data", "kimg", "Fréchet distance in float32", "in bfloat16", "seeds"]
    lines, rows = [head], read_rows(NAME)
    for recipe, (data, images) in CASES.items():
        found = {p: [row for row in rows if (row["recipe"], row["precision"]) == (recipe, p)] for p in PRECISIONS}
        if all(found.values()):
            seeds = "/".join(str(number) for number in sorted({len(mine) for mine in found.values()}))
            distances = [_spread([float(row["frechet"]) for row in mine]) for mine in found.values()]
            lines.append([f"`{recipe}`", data, f"{images / 1000:.0f}", *distances, seeds])
    return markdown(lines)


def _spread(values: list[float]) -> str:
    return f"{statistics.mean(values):,.1f} ({min(values):,.1f} to {max(values):,.1f})"


def main() -> None:
    """A row is written as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", help=f"of {', '.join(CASES)}; all, if none is named")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--table", action="store_true", help="print what was measured")
    options = parser.parse_args()
    known = {tuple(row[key] for key in KEYS) for row in read_rows(NAME)}
    for recipe in [] if options.table else options.recipes or CASES:
        for seed in options.seeds:
            for precision in PRECISIONS:
                if (recipe, CASES[recipe][0], precision, str(seed)) not in known:
                    row = measure(recipe, precision, seed)
                    print(row, flush=True)
                    keep_row(NAME, row, KEYS, seed=seed)
    print(table())


if __name__ == "__main__":
    main()
