"""Images a second of every image recipe against a plain loop, and what starting, memory and promises cost.

    python benchmarks/training_speed.py                  # all; about a minute and a half for each recipe
    python benchmarks/training_speed.py dcgan r3gan      # some; the other rows of results/training_speed.csv are kept
    python benchmarks/training_speed.py --quick dcgan    # does the script work? its rows go to training_speed_quick.csv

The yardstick of a recipe is `plain_loop.py`: the same networks, losses, penalties and batch without Organza's engine.
Both sides run in turn, each in a process of its own, so that the ratios of a round are free of the machine's slow
drifts; a row has medians, and the least and the greatest ratio. Recipes of digits train on mnist at 28x28, those of
colour on emoji at 32x32, with the defaults of the size `laptop`, as they stand at the end of their budgets.

More rows: seconds to import organza (yardstick: torch) and of `organza --help`; the memory that a step takes, with and
without R1, and the plan's estimate of it; the seconds of a short run, and the plan's estimate of them.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import keep_row, markdown, read_rows
from plain_loop import PlainLoop
from torch.profiler import profile

import organza
from organza.api import prepare
from organza.config import Config
from organza.data.store import ImageStore
from organza.losses import LOSSES
from organza.recipes import RECIPES
from organza.training.allocator import keep_freed_memory
from organza.training.plan import make_plan, peak_memory
from organza.training.precision import computes_in_bfloat16, pick_precision
from organza.training.trainer import Trainer

CPU = torch.device("cpu")
DIGITS = ("gan", "dcgan", "cgan", "acgan", "infogan", "lsgan", "dragan", "wgan", "wgan-gp", "r3gan")
WITH_R1 = {"share_fakes": False, "discriminator.penalties": "r1"}
PRODUCTS = re.compile(r"aten::(.*conv.*|.*mm)$")
SHORT_RUN = 40  # steps, of the run whose time the plan foretells
LATENT = [name for name, make in RECIPES.items() if make((3, 32, 32)).game == "latent"]  # others have no plain loop


def recipe_on_data(recipe: str, changes: dict[str, Any] | None = None) -> tuple[Config, ImageStore]:
    """The laptop configuration of a recipe on the data that it is timed on."""
    data = {"data": "mnist"} if recipe in DIGITS else {"data": "emoji"}
    sized = {} if recipe in DIGITS else {"data.resolution": 32}
    return prepare(recipe, data["data"], "laptop", sized | (changes or {}))


# What is measured, each in a process of its own


def rate_of_loop(recipe: str, seconds: float) -> float:
    """Images a second of the plain loop."""
    config, store = recipe_on_data(recipe)
    return rate(PlainLoop(config, store).step, config, seconds)


def rate_of_engine(recipe: str, seconds: float) -> float:
    """Images a second of Organza's steps."""
    keep_freed_memory()  # as organza.train does
    config, store = recipe_on_data(recipe)
    trainer = Trainer(config, store, CPU)
    trainer.images = config.images
    return rate(trainer.step, config, seconds)


def rate_in_bfloat16(recipe: str, seconds: float) -> float:
    """Images a second of Organza's steps where the user asks for bfloat16."""
    keep_freed_memory()
    config, store = recipe_on_data(recipe, {"precision": "bfloat16"})
    trainer = Trainer(config, store, CPU)
    trainer.images = config.images
    return rate(trainer.step, config, seconds)


def share_of_products(recipe: str, seconds: float) -> float:
    """Of the time of the plain loop, which convolutions and matrix products take: no engine can leave them out."""
    config, store = recipe_on_data(recipe)
    loop = PlainLoop(config, store)
    rate(loop.step, config, seconds / 2)
    with profile() as seen:
        rate(loop.step, config, seconds / 2)
    times = {event.key: event.self_cpu_time_total for event in seen.key_averages()}
    return sum(time for name, time in times.items() if PRODUCTS.search(name)) / sum(times.values())


def rate(step: Callable[[], None], config: Config, seconds: float) -> float:
    """Images a second that D sees of real ones, after two steps that build kernels and optimisers."""
    step()
    step()
    steps, began = 0, time.perf_counter()
    while steps < 2 or time.perf_counter() - began < seconds:
        step()
        steps += 1
    return steps * config.discriminator.turns * config.batch / (time.perf_counter() - began)


def memory_of_steps(recipe: str, r1: bool) -> float:
    """Resident bytes that three steps add at their peak, networks and optimisers included (Linux)."""
    config, store = recipe_on_data(recipe, WITH_R1 if r1 else None)
    small = {f"{role}.model.{name}": 4 for role in ("generator", "discriminator") for name in ("width", "max_width")}
    known = {**(WITH_R1 if r1 else {}), **small, "batch": 4}
    Trainer(*recipe_on_data("dcgan", known), CPU).step()  # threads, libraries, what optimisers import
    keep_freed_memory()
    Path("/proc/self/clear_refs").write_text("5")  # begins the peak anew
    before = status("VmRSS")
    trainer = Trainer(config, store, CPU)
    for _ in range(3):
        trainer.step()
    return status("VmHWM") - before


def status(field: str) -> int:
    """Bytes of this process, from /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def foretold_memory(recipe: str, r1: bool) -> float:
    """The plan's estimate of the same."""
    config, store = recipe_on_data(recipe, WITH_R1 if r1 else None)
    return peak_memory(config, store)


def foretold_seconds(recipe: str) -> float:
    """The plan's estimate for a short run."""
    keep_freed_memory()
    config, store = recipe_on_data(recipe)
    plan = make_plan(Trainer(config, store, CPU), Path("run"))
    return short_images(config) / plan.rate


def seconds_of_run(recipe: str) -> float:
    """A short run as the command line makes it, with its grids and its checkpoint."""
    config, _ = recipe_on_data(recipe)
    with tempfile.TemporaryDirectory() as folder:
        changes = {} if config.data.resolution is None else {"data.resolution": config.data.resolution}
        run = organza.train(
            recipe, data=config.data.source, images=short_images(config), out=Path(folder) / "run", device="cpu",
            changes=changes,
        )  # fmt: skip
        return run.summary["seconds"]


def short_images(config: Config) -> int:
    """Of the short run."""
    return SHORT_RUN * config.discriminator.turns * config.batch


MEASURES: dict[str, Callable[..., float]] = {
    function.__name__: function
    for function in (
        rate_of_loop, rate_of_engine, rate_in_bfloat16, share_of_products, memory_of_steps, foretold_memory,
        foretold_seconds, seconds_of_run,
    )
}  # fmt: skip


def apart(measure: Callable[..., float], *arguments: Any) -> float:
    """One measure by this script in a fresh process."""
    command = [sys.executable, __file__, "--measure", json.dumps([measure.__name__, *arguments])]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])


def seconds_of(*command: str) -> float:
    """Wall-clock seconds of a command."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


# The rows


def recipe_row(recipe: str, rounds: int, seconds: float) -> dict[str, Any]:
    """The plain loop and the engine in turn."""
    pairs = [(apart(rate_of_loop, recipe, seconds), apart(rate_of_engine, recipe, seconds)) for _ in range(rounds)]
    config, store = recipe_on_data(recipe)
    size = "x".join(map(str, store.shape))
    told = [f"{apart(share_of_products, recipe, seconds):.0%} of the loop are convolutions and products"]
    if computes_in_bfloat16(CPU) and pick_precision(config.precision, CPU)[0] != torch.bfloat16:
        times = apart(rate_in_bfloat16, recipe, seconds) / statistics.median(engine for _, engine in pairs)
        told.append(f"bfloat16 {times:.2f} times as fast")
    return row(f"train {recipe}", f"{store.name} {size}", "images/s", pairs, "; ".join([*told, *reason(config)]))


def reason(config: Config) -> list[str]:
    """Why the engine could not do more: what it computes in float32, and what it cannot share."""
    dtype, why = pick_precision(config.precision, CPU)
    told = ["in bfloat16" if dtype == torch.bfloat16 else f"float32 {why}"]
    steep = [p.name for p in config.discriminator.penalties if p.name in ("r1", "r2", "gradient-norm", "dragan")]
    if steep and dtype == torch.bfloat16:
        told.append(f"D's turns with {' and '.join(steep)} in float32")
    if not config.share_fakes:
        reals = " and other reals" if LOSSES[config.loss].relativistic else ""
        told.append(f"a pass of G{reals} for each of {config.discriminator.turns + 1} turns")
    return told


def other_rows(rounds: int) -> list[dict[str, Any]]:
    """Starting, memory and promises."""
    python, times = sys.executable, range(rounds)
    imports = [[seconds_of(python, "-c", f"import {name}") for name in ("torch", "organza")] for _ in times]
    help_pages = [
        [seconds_of(python, "-c", "import torch"), seconds_of(python, "-m", "organza", "--help")] for _ in times
    ]
    rows = [
        row("import organza", "torch is the yardstick", "s", imports, "organza imports torch when it is needed"),
        row("organza --help", "import torch is the yardstick", "s", help_pages),
    ]
    for recipe, r1 in (("dcgan", False), ("dcgan", True), ("r3gan", False)):
        pair = apart(memory_of_steps, recipe, r1) / 1e6, apart(foretold_memory, recipe, r1) / 1e6
        name = f"memory {recipe}" + (" with r1" if r1 else "")
        rows.append(row(name, "measured is the yardstick of the plan", "MB", [pair]))
    for recipe in ("dcgan", "r3gan"):
        pairs = [(apart(seconds_of_run, recipe), apart(foretold_seconds, recipe)) for _ in times]
        rows.append(row(f"seconds {recipe}", "measured is the yardstick of the plan", "s", pairs, f"{SHORT_RUN} steps"))
    return rows


def row(what: str, data: str, unit: str, pairs: Any, why: str = "") -> dict[str, Any]:
    """Medians of both sides and of their ratios; `pairs` are (yardstick, Organza) of each round."""
    ratios = [organza / yardstick for yardstick, organza in pairs]
    yardstick, mine = (round(statistics.median(values), 3) for values in zip(*pairs, strict=True))
    return {
        "what": what, "data": data, "unit": unit, "yardstick": yardstick, "measured": mine,
        "ratio": round(statistics.median(ratios), 2), "ratio_min": round(min(ratios), 2),
        "ratio_max": round(max(ratios), 2), "rounds": len(pairs), "reason": why,
    }  # fmt: skip


def table() -> str:
    """The rows of the recipes, for the docs."""
    lines = [["recipe", "data", "plain loop, images/s", "Organza, images/s", "ratio (range)", "why no more"]]
    for each in read_rows("training_speed"):
        if each["unit"] == "images/s":
            ratio = f"{each['ratio']} ({each['ratio_min']} to {each['ratio_max']})"
            rates = (f"{float(each[key]):,.0f}" for key in ("yardstick", "measured"))
            lines.append([f"`{each['what'][6:]}`", each["data"], *rates, ratio, each["reason"]])
    return markdown(lines)


def other_table() -> str:
    """The other rows, for the docs."""
    lines = [["what", "yardstick", "value", "Organza", "ratio (range)"]]
    for each in read_rows("training_speed"):
        if each["unit"] != "images/s":
            value, mine = (f"{float(each[key]):.3g} {each['unit']}" for key in ("yardstick", "measured"))
            yardstick, *foretold = each["data"].replace(" is the yardstick", "").split(" of the plan")
            ratio = f"{each['ratio']} ({each['ratio_min']} to {each['ratio_max']})"
            lines.append([each["what"], yardstick, value, mine + ", foretold" * bool(foretold), ratio])
    return markdown(lines)


def main() -> None:
    """Measure and write row by row; or one measure, for the process that asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", help="all that start from noise and the other rows, if none is named")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measured rate")
    parser.add_argument("--quick", action="store_true", help="one round of half a second, in a table of its own")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        name, *arguments = json.loads(options.measure)
        print(MEASURES[name](*arguments))
        return
    rounds, seconds = (1, 0.5) if options.quick else (options.rounds, options.seconds)
    table = "training_speed" + ("_quick" if options.quick else "")
    for recipe in options.recipes or LATENT:
        keep(table, recipe_row(recipe, rounds, seconds))
    for other in [] if options.recipes else other_rows(rounds):
        keep(table, other)


def keep(table: str, measured: dict[str, Any]) -> None:
    """Print a row and put it into the table."""
    print(measured, flush=True)
    keep_row(table, measured, ("what",), seed=0)


if __name__ == "__main__":
    main()
