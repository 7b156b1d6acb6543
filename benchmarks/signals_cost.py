"""What the health signals of a run cost, as a share of the steps between two ticks of its log, for every recipe.

    python benchmarks/signals_cost.py                  # all: about six minutes
    python benchmarks/signals_cost.py munit gan        # some; the other rows of results/signals_cost.csv are kept
    python benchmarks/signals_cost.py --table          # the table of the docs

Each row: milliseconds of a step and of a look, at the defaults of the size `laptop`. Digits for the recipes that the
benchmark of speed has on digits, points for `gan`, too, emoji at 32x32 for other latent families, pairs of emoji at
64x64 for translations and restoration.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from common import keep_row, markdown, read_rows
from training_speed import DIGITS

from organza.api import prepare
from organza.games import GAMES
from organza.health.signals import Signals
from organza.recipes import RECIPES
from organza.training.allocator import keep_freed_memory
from organza.training.trainer import Trainer

NAME, KEYS = "signals_cost", ("recipe", "data")
SECONDS = 4.0  # of steps; a fourth of it of looks


def seconds_of(work: Callable[[], object], seconds: float) -> float:
    """Of one call, the mean over as many as fit."""
    work()
    work()
    began, calls = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        work()
        calls += 1
    return (time.perf_counter() - began) / calls


def data_of(recipe: str) -> tuple[str | None, dict[str, object]]:
    """What a recipe is timed on; None is its own default."""
    if recipe in DIGITS:
        return "mnist", {}
    if GAMES[RECIPES[recipe]((3, 64, 64), "laptop").game].translates:
        return None, {}
    return "emoji", {"data.resolution": 32}


def measure(recipe: str, data: str | None, changes: dict[str, object]) -> dict[str, float | str]:
    """One recipe on its data."""
    config, store = prepare(recipe, data, "laptop", changes)
    trainer = Trainer(config, store, torch.device("cpu"))
    signals = Signals(trainer)
    step, look = seconds_of(trainer.step, SECONDS), seconds_of(signals.scalars, SECONDS / 4)
    between = config.output.log / (config.batch * config.discriminator.turns)
    return {
        "recipe": recipe, "data": f"{store.name} {'x'.join(map(str, store.shape))}", "step_ms": round(1000 * step, 2),
        "look_ms": round(1000 * look, 2), "steps_between": round(between), "share": round(look / (step * between), 5),
    }  # fmt: skip


def table() -> str:
    """The dearest first."""
    rows = sorted(read_rows(NAME), key=lambda row: -float(row["share"]))
    head = ["recipe", "data", "a step, ms", "a look, ms", "steps from one to the next", "share of the time"]
    lines = [
        [f"`{row['recipe']}`", row["data"], row["step_ms"], row["look_ms"], row["steps_between"],
         f"{100 * float(row['share']):.2f} %"] for row in rows
    ]  # fmt: skip
    return markdown([head, *lines])


def main() -> None:
    """Each after the other; a row is written as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", help="all, if none is named")
    parser.add_argument("--table", action="store_true", help="print what was measured")
    options = parser.parse_args()
    keep_freed_memory()  # as organza.train does
    for recipe in [] if options.table else options.recipes or RECIPES:
        cases = [data_of(recipe), *([("ring", {})] if recipe == "gan" else [])]
        for data, changes in cases:
            row = measure(recipe, data, changes)
            print(row, flush=True)
            keep_row(NAME, row, KEYS, seed=0)
    print(table())


if __name__ == "__main__":
    main()
