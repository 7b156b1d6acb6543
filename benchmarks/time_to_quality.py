"""Quality over seconds: `organza train` (no argument) against the loop of every tutorial, on this machine.

    python benchmarks/time_to_quality.py                 # about 25 minutes on two cores
    python benchmarks/time_to_quality.py --only organza  # the loop's rows of an earlier run are kept

Quality is the Fréchet distance in the features of the embedded digit classifier, 10 000 samples against the 10 000
digits of the test set, whose own distance to 10 000 training digits is the floor. Seconds are those of training, the
evaluations of this script not counted; Organza's include its grids, scores and checkpoints. `results/
time_to_quality.csv` has a row for each evaluation, with the share of the rarest and the commonest digit.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import tutorial_loop
from common import RESULTS, write_rows
from torch import Tensor

import organza
from organza.data import open_dataset
from organza.metrics.digits import digit_features
from organza.metrics.frechet import frechet_distance
from organza.report.grid import grid_image, save_png
from organza.reporter import Silent
from organza.training.batches import to_bytes
from organza.training.trainer import Trainer

SAMPLES = 10_000
LOOP_IMAGES = 300_000
LOOP_MARKS = (10_000, 30_000, 60_000, 120_000, 180_000, 240_000, 300_000)
ORGANZA_MARKS = (5, *range(10, 31), 40, 60, 90, 120, 150, 180, 210, 240, 270, 300)  # seconds


class Judge:
    """Scores generated digits and keeps the rows of the table."""

    def __init__(self) -> None:
        self.real, _ = digit_features(open_dataset("mnist", split="test").images)
        train, _ = digit_features(open_dataset("mnist").images[:SAMPLES])
        self.floor = frechet_distance(real=self.real, fake=train)
        self.rows: list[dict[str, Any]] = []

    def add(self, who: str, images: int, seconds: float, samples: Tensor) -> None:
        """One row from uint8 samples [10 000, 1, 28, 28]."""
        features, digits = digit_features(samples)
        shares = torch.bincount(digits, minlength=10) / len(digits)
        row = {
            "who": who, "images": images, "seconds": round(seconds, 1),
            "frechet_digits": round(frechet_distance(real=self.real, fake=features), 3),
            "rarest_digit": round(float(shares.min()), 4), "commonest_digit": round(float(shares.max()), 4),
            "floor": round(self.floor, 3), "samples": SAMPLES,
        }  # fmt: skip
        self.rows.append(row)
        print(row, flush=True)


def run_loop(judge: Judge, seed: int) -> None:
    """The tutorial's five epochs, judged as its users sample it, in training mode."""
    marks = list(LOOP_MARKS)

    def look(seen: int, seconds: float, generator: torch.nn.Module) -> None:
        if seen >= marks[0]:
            marks.pop(0)
            kept = torch.get_rng_state()
            with torch.no_grad():
                made = [to_bytes(generator(torch.randn(500, 100))) for _ in range(SAMPLES // 500)]
            torch.set_rng_state(kept)
            judge.add("tutorial loop", seen, seconds, torch.cat(made))
            if not marks:
                save_png(grid_image(made[0][:64]), RESULTS / "tutorial-loop.png")
                marks.append(2**62)

    tutorial_loop.train(open_dataset("mnist").images, LOOP_IMAGES, look, seed)


class Clock(Silent):
    """A reporter that evaluates the average at given seconds of training and takes its own time off the clock."""

    def __init__(self, judge: Judge, trainers: list[Trainer]) -> None:
        self.judge, self.trainers, self.marks, self.lost = judge, trainers, list(ORGANZA_MARKS), 0.0

    def progress(self, images: int, total: int, rate: float, eta: float) -> None:
        """After every step."""
        seconds = self.trainers[0].seconds - self.lost
        if self.marks and seconds >= self.marks[0]:
            self.marks.pop(0)
            self.look(images, seconds)

    def look(self, images: int, seconds: float) -> None:
        """Judge 10 000 samples of the average, outside of the time of training."""
        start = time.perf_counter()
        trainer, noise = self.trainers[0], torch.Generator().manual_seed(1)
        with torch.no_grad():
            z = torch.randn(SAMPLES, trainer.batches.z_dim, generator=noise)
            made = torch.cat([to_bytes(trainer.average(part)) for part in z.split(500)])
        self.judge.add("organza train", images, seconds, made)
        self.lost += time.perf_counter() - start


def run_organza(judge: Judge, seed: int) -> None:
    """`organza train` with nothing but a seed."""
    trainers: list[Trainer] = []  # the first is the run's, a second one only estimates its memory
    remember(Trainer, trainers.append)
    clock = Clock(judge, trainers)
    with tempfile.TemporaryDirectory() as folder:
        run = organza.train(out=Path(folder) / "run", seed=seed, reporter=clock)
        last = trainers[0]
        clock.look(last.images, last.seconds - clock.lost)
        grids = sorted((run.path / "samples").glob("*-ema.png"))
        shutil.copyfile(grids[-1], RESULTS / "organza-train.png")


def remember(kind: type, tell: Callable[[Any], None]) -> None:
    """Tell of every object of a class that is made from now on."""
    make = kind.__init__

    def made(self: Any, *arguments: Any, **named: Any) -> None:
        make(self, *arguments, **named)
        tell(self)

    kind.__init__ = made  # type: ignore[method-assign]


def verdict(rows: list[dict[str, Any]]) -> None:
    """How much sooner Organza reached the loop's end, and how far it went."""
    loop = [row for row in rows if row["who"] == "tutorial loop"]
    mine = [row for row in rows if row["who"] == "organza train"]
    if not loop or not mine:
        return
    goal, took = float(loop[-1]["frechet_digits"]), float(loop[-1]["seconds"])
    there = next((row for row in mine if float(row["frechet_digits"]) <= goal), None)
    end = float(mine[-1]["frechet_digits"])
    if there:
        print(f"organza reached {goal:.1f} in {there['seconds']} s, the loop in {took:.0f} s: "
              f"{took / float(there['seconds']):.0f} times sooner")  # fmt: skip
    print(
        f"organza ended at {end:.1f} after {mine[-1]['seconds']} s: {goal / end:.1f} times nearer than the loop's end"
    )


def main() -> None:
    """Both, or one, then the table and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["loop", "organza"])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    judge, kept = Judge(), []
    if options.only:
        with (RESULTS / "time_to_quality.csv").open() as file:
            other = "organza train" if options.only == "loop" else "tutorial loop"
            kept = [{key: row[key] for key in list(row)[:8]} for row in csv.DictReader(file) if row["who"] == other]
    if options.only != "loop":
        run_organza(judge, options.seed)
    if options.only != "organza":
        run_loop(judge, options.seed)
    rows = kept + judge.rows
    write_rows("time_to_quality", rows, options.seed)
    verdict(rows)


if __name__ == "__main__":
    main()
