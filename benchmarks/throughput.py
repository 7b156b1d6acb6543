"""Images a second of Organza's engine against the tutorial's loop: identical networks, batch and loss, in turn.

    python benchmarks/throughput.py            # about four minutes on two cores

Each round measures every form in a process of its own, one after the other, so that the ratios of a round are free of
the machine's slow drifts. `results/throughput.csv` has one row for each form: the median rate, and the median, least
and greatest ratio over the rounds. The fused form is checked to be the same function of the same parameters.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from typing import Any

import torch
import tutorial_loop
from common import write_rows
from tutorial_networks import Generator

from organza.config import Config, Model, Optimizer, Player
from organza.data import open_dataset
from organza.models import MODELS
from organza.training.allocator import keep_freed_memory
from organza.training.assemble import resolve
from organza.training.trainer import Trainer

MODELS["tutorial"] = "tutorial_networks"  # how anyone adds a network of their own

LOOP = "tutorial loop"
FORMS: dict[str, dict[str, Any]] = {
    "organza float32": {"precision": "float32", "share_fakes": False},
    "organza bfloat16": {"precision": "auto", "share_fakes": False},
    "organza bfloat16, one generator pass": {"precision": "auto", "share_fakes": True},
    "organza bfloat16, one generator pass, fused upsampling": {"precision": "auto", "share_fakes": True, "fused": True},
}


def loop_rate(steps: int) -> float:
    """Images a second of the tutorial's loop, without its first two steps."""
    times: list[float] = []
    total = (steps + 2) * tutorial_loop.BATCH
    tutorial_loop.train(open_dataset("mnist").images, total, lambda seen, seconds, generator: times.append(seconds))
    return steps * tutorial_loop.BATCH / (times[-1] - times[1])


def engine_rate(steps: int, fused: bool = False, **fields: Any) -> float:
    """Images a second of the engine's step on the tutorial's game, without its first two."""
    keep_freed_memory()  # as organza.train does
    adam = Optimizer(lr=2e-4, beta1=0.5)
    config = Config(
        recipe="tutorial",
        generator=Player(model=Model(name="tutorial", options={"fused": fused}), optimizer=adam),
        discriminator=Player(model=Model(name="tutorial"), optimizer=adam),
        batch=tutorial_loop.BATCH,
        **fields,
    )
    trainer = Trainer(resolve(config), open_dataset("mnist"), torch.device("cpu"))
    for _ in range(2):
        trainer.step()
    start = time.perf_counter()
    for _ in range(steps):
        trainer.step()
    return steps * trainer.config.batch / (time.perf_counter() - start)


def check_fused() -> None:
    """The fused generator is the same function: equal outputs from the same parameters."""
    plain, fused, z = Generator(), Generator(fused=True), torch.randn(8, 100)
    fused.load_state_dict(plain.state_dict())
    torch.testing.assert_close(plain(z), fused(z), rtol=1e-4, atol=1e-5)


def in_own_process(form: str, steps: int) -> float:
    """The rate of one form, measured by this script in a fresh process."""
    command = [sys.executable, __file__, "--form", form, "--steps", str(steps)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def table(rates: dict[str, list[float]]) -> list[dict[str, Any]]:
    """One row for each form."""
    rows = []
    for form, values in rates.items():
        ratios = [mine / loop for mine, loop in zip(values, rates[LOOP], strict=True)]
        row: dict[str, Any] = {"form": form, "images_per_second": round(statistics.median(values), 1)}
        row |= {"ratio": round(statistics.median(ratios), 2), "ratio_min": round(min(ratios), 2)}
        row |= {"ratio_max": round(max(ratios), 2), "rounds": len(values), "batch": tutorial_loop.BATCH}
        rows.append(row)
    return rows


def main() -> None:
    """Rounds of all forms in turn, then the table; or one form."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--form", choices=[LOOP, *FORMS])
    options = parser.parse_args()
    if options.form:
        loop = options.form == LOOP
        print(loop_rate(options.steps) if loop else engine_rate(options.steps, **FORMS[options.form]))
        return
    check_fused()
    rates: dict[str, list[float]] = {form: [] for form in (LOOP, *FORMS)}
    for _ in range(options.rounds):
        for form, values in rates.items():
            values.append(in_own_process(form, options.steps))
        print({form: round(values[-1]) for form, values in rates.items()}, flush=True)
    rows = table(rates)
    print(*rows, sep="\n")
    write_rows("throughput", rows, seed=0)


if __name__ == "__main__":
    main()
