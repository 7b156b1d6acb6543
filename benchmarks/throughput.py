"""Images a second of Organza's engine against the tutorial's loop: identical networks, batch and loss, in turn.

    python benchmarks/throughput.py            # about four minutes on two cores

Each round trains the loop for some steps, then Organza in four forms; the ratio of a round is free of the machine's
slow drifts. `results/throughput.csv` has one row for each form: the median rate, and the median, least and greatest
ratio over the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
import tutorial_loop
from common import write_rows

from organza.config import Config, Model, Optimizer, Player
from organza.data import open_dataset
from organza.models import MODELS
from organza.training.allocator import keep_freed_memory
from organza.training.assemble import resolve
from organza.training.trainer import Trainer

sys.path.insert(0, str(Path(__file__).parent))
MODELS["tutorial"] = "tutorial_networks"  # how anyone adds a network of their own

FORMS = {
    "organza float32": {"precision": "float32", "share_fakes": False},
    "organza bfloat16": {"precision": "auto", "share_fakes": False},
    "organza bfloat16, one generator pass": {"precision": "auto", "share_fakes": True},
}


def organza_trainer(**fields: object) -> Trainer:
    """The tutorial's game on Organza's engine."""
    player = Player(model=Model(name="tutorial"), optimizer=Optimizer(lr=2e-4, beta1=0.5))
    config = Config(recipe="tutorial", generator=player, discriminator=player, batch=tutorial_loop.BATCH, **fields)
    return Trainer(resolve(config), open_dataset("mnist"), torch.device("cpu"))


def loop_rate(steps: int) -> float:
    """Images a second of the tutorial's loop, without its first two steps."""
    times: list[float] = []
    total = (steps + 2) * tutorial_loop.BATCH
    tutorial_loop.train(open_dataset("mnist").images, total, lambda seen, seconds, generator: times.append(seconds))
    return steps * tutorial_loop.BATCH / (times[-1] - times[1])


def engine_rate(trainer: Trainer, steps: int) -> float:
    """Images a second of the engine's step, without its first two."""
    for _ in range(2):
        trainer.step()
    start = time.perf_counter()
    for _ in range(steps):
        trainer.step()
    return steps * trainer.config.batch / (time.perf_counter() - start)


def main() -> None:
    """Rounds of all forms in turn, then the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    rates: dict[str, list[float]] = {"tutorial loop": [], **{name: [] for name in FORMS}}
    for number in range(options.rounds):
        rates["tutorial loop"].append(loop_rate(options.steps))
        if number == 0:
            keep_freed_memory()  # as organza.train does; the loop of the first round ran without it
        for name, fields in FORMS.items():
            rates[name].append(engine_rate(organza_trainer(**fields), options.steps))
        print({name: round(values[-1]) for name, values in rates.items()}, flush=True)
    rows = []
    for name, values in rates.items():
        ratios = [mine / loop for mine, loop in zip(values, rates["tutorial loop"], strict=True)]
        rows.append(
            {
                "form": name,
                "images_per_second": round(statistics.median(values), 1),
                "ratio": round(statistics.median(ratios), 2),
                "ratio_min": round(min(ratios), 2),
                "ratio_max": round(max(ratios), 2),
                "rounds": options.rounds,
                "batch": tutorial_loop.BATCH,
            }
        )
        print(rows[-1])
    write_rows("throughput", rows, seed=0)


if __name__ == "__main__":
    main()
