"""Seconds for 1000 images, and memory, of the StyleGAN family's training on one GPU, beside the published figures.

    python benchmarks/stylegan_speed.py                              # StyleGAN2 at 256x256, as `paper256`
    python benchmarks/stylegan_speed.py --recipe stylegan3-t --side 256
    python benchmarks/stylegan_speed.py --device cpu --size laptop --side 32 --steps 16     # to try the script

The whole step is timed: batches from memory, both players with their lazy penalties, optimisers, the average. Each form
runs in a process of its own, one after the other, so that the ratios are of one machine; `steps` is rounded up to whole
cycles of the lazy penalties. Published, NVIDIA A100, one GPU, custom CUDA kernels: 12.53 s and 4.5 GB at 256x256, 41.06
and 6.8 at 512, 90.39 and 7.2 at 1024. They split their batch, as `--accumulate` does; each form has its own row in
results/stylegan_speed.csv.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import Any

import torch
from common import keep_row

from organza.config import override
from organza.data.store import ImageStore
from organza.recipes import RECIPES
from organza.training.allocator import keep_freed_memory
from organza.training.assemble import resolve
from organza.training.trainer import Trainer

FORMS: dict[str, dict[str, Any]] = {
    "float32": {"precision": "float32"},
    "TF32": {"precision": "float32", "tf32": True},
    "bfloat16 and TF32": {"precision": "auto", "tf32": True},
    "bfloat16 and TF32, compiled": {"precision": "auto", "tf32": True, "compile": True},
}
CYCLE = 16  # turns of D from one R1 to the next
PUBLISHED = {("stylegan2", 256): (12.53, 4.5), ("stylegan2", 512): (41.06, 6.8), ("stylegan2", 1024): (90.39, 7.2)}
KEYS = ("recipe", "side", "size", "form", "batch", "accumulate", "hardware")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """One form, in this process."""
    keep_freed_memory()
    form = dict(FORMS[options.form])
    wide = form.pop("tf32", False)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = wide
    shape, device = (3, options.side, options.side), torch.device(options.device)
    config = RECIPES[options.recipe](shape, options.size)
    config = resolve(override(config, form | {"accumulate": options.accumulate}))
    pixels = torch.randint(0, 256, (512, *shape), dtype=torch.uint8)
    trainer = Trainer(config, ImageStore("random pixels", pixels, None, ()), device)
    for _ in range(CYCLE):  # tunes and compiles what the timed ones use
        trainer.step()
    cycles = -(-options.steps // CYCLE)
    _wait(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    began = time.perf_counter()
    for _ in range(cycles * CYCLE):
        trainer.step()
    _wait(device)
    seconds = time.perf_counter() - began
    peak = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None
    images = cycles * CYCLE * config.batch
    return {
        "recipe": options.recipe, "side": options.side, "size": options.size, "form": options.form,
        "batch": config.batch, "accumulate": options.accumulate, "seconds_per_kimg": round(1000 * seconds / images, 3),
        "peak_gib": "" if peak is None else round(peak, 2), "steps": cycles * CYCLE,
    }  # fmt: skip


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Each form in turn, a row after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", choices=[name for name in RECIPES if name.startswith("style")], default="stylegan2")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--size", choices=["laptop", "paper"], default="paper")
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--accumulate", type=int, default=1)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--form", choices=list(FORMS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.form:
        print(json.dumps(measure(options)))
        return
    published = PUBLISHED.get((options.recipe, options.side), ("", "")) if options.size == "paper" else ("", "")
    for form in FORMS:
        told = subprocess.run(
            [sys.executable, *sys.argv, "--form", form], stdout=subprocess.PIPE, text=True, check=True
        )
        row = json.loads(told.stdout.splitlines()[-1])
        row |= {"published_seconds": published[0], "published_gib": published[1]}
        print(row, flush=True)
        keep_row("stylegan_speed", row, KEYS, seed=0, device=options.device)


if __name__ == "__main__":
    main()
