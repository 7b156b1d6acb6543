"""What the health signals of a run cost, as a share of the steps between two ticks of its log.

    python benchmarks/signals_cost.py

Each row: milliseconds of a step and of a look, at the defaults of the size `laptop`, in results/signals_cost.csv.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from common import write_rows

from organza.api import prepare
from organza.health.signals import Signals
from organza.training.allocator import keep_freed_memory
from organza.training.trainer import Trainer

CASES = (("dcgan", "mnist"), ("cgan", "mnist"), ("r3gan", "mnist"), ("sngan", "mnist"), ("gan", "ring"))
SECONDS = 5.0


def seconds_of(work: Callable[[], object], seconds: float) -> float:
    """Of one call, the mean over as many as fit."""
    work()
    work()
    began, calls = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        work()
        calls += 1
    return (time.perf_counter() - began) / calls


def measure(recipe: str, data: str) -> dict[str, float | str]:
    """One recipe on its data."""
    config, store = prepare(recipe, data, "laptop", {})
    trainer = Trainer(config, store, torch.device("cpu"))
    signals = Signals(trainer)
    step, look = seconds_of(trainer.step, SECONDS), seconds_of(signals.scalars, SECONDS / 5)
    between = config.output.log / (config.batch * config.discriminator.turns)
    return {
        "recipe": recipe, "data": data, "step_ms": round(1000 * step, 2), "look_ms": round(1000 * look, 2),
        "steps_between": round(between), "share": round(look / (step * between), 5),
    }  # fmt: skip


def main() -> None:
    """All cases, one after the other."""
    keep_freed_memory()  # as organza.train does
    rows = [measure(recipe, data) for recipe, data in CASES]
    for row in rows:
        print(row)
    write_rows("signals_cost", rows, seed=0)


if __name__ == "__main__":
    main()
