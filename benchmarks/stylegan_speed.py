"""Seconds for 1000 images, and memory, of the StyleGAN family's training on one GPU, judged by the published figures.

    python benchmarks/stylegan_speed.py                              # StyleGAN2 at 256x256, `paper256`, in four parts
    python benchmarks/stylegan_speed.py --recipe stylegan2-ada       # the very set-up of the published figures
    python benchmarks/stylegan_speed.py --recipe stylegan3-t --side 256
    python benchmarks/stylegan_speed.py --device cpu --size laptop --side 16 --steps 16     # to try the script

The whole step is timed: batches from memory, both players with their lazy penalties, optimisers, the average. Each form
runs in a process of its own, one after the other, so that the ratios are of one machine; `steps` is rounded up to whole
cycles of the lazy penalties. Each form has its own row in results/stylegan_speed.csv; one that fails is told, and the
others go on.

Published, NVIDIA A100, one GPU, custom CUDA kernels: 12.53 s and 4.5 GB at 256x256, 41.06 and 6.8 at 512, 90.39 and 7.2
at 1024 (StyleGAN3's docs/configs.md, "Default configuration"). They are of ADA's `auto`, whose whole batch is 16, 8 and
4 images. `paper256` has a batch of 64 and no figure on one GPU: on eight, each with 8 images, 2.47 s and 2.7 GB. In
parts of 16, which is `--accumulate 4`, it corresponds to 12.53 s and 4.5 GB; by default each batch is split into parts
of the published number of images. Two differences remain: `paper256` maps z in eight layers in place of two, and
`stylegan2` has no ADA, which is a tenth of the time (2.47 s, and 2.19 without); `stylegan2-ada` has neither.

The goal is half of the published seconds within the published memory, 10^9 bytes to the GB. Every row says of both
whether they were met, and the last line how many forms met both.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import Any, NamedTuple

import torch
from common import keep_row

from organza.config import ConfigError, override
from organza.data.store import ImageStore
from organza.recipes import RECIPES
from organza.training.allocator import keep_freed_memory
from organza.training.assemble import resolve
from organza.training.precision import pick_device
from organza.training.trainer import Trainer

FORMS: dict[str, dict[str, Any]] = {
    "float32": {"precision": "float32"},
    "TF32": {"precision": "float32", "tf32": True},
    "bfloat16 and TF32": {"precision": "auto", "tf32": True},
    "bfloat16 and TF32, compiled": {"precision": "auto", "tf32": True, "compile": True},
}
CYCLE = 16  # turns of D from one R1 to the next


class Published(NamedTuple):
    """Of StyleGAN2 on one GPU."""

    at_once: int  # images, the whole batch there
    seconds: float  # for 1000 images
    gb: float


PUBLISHED = {256: Published(16, 12.53, 4.5), 512: Published(8, 41.06, 6.8), 1024: Published(4, 90.39, 7.2)}
KEYS = ("recipe", "side", "size", "form", "batch", "accumulate", "hardware")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """One form, in this process."""
    keep_freed_memory()
    form = dict(FORMS[options.form])
    wide = form.pop("tf32", False)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = wide
    shape, device = (3, options.side, options.side), torch.device(options.device)
    config = RECIPES[options.recipe](shape, options.size)
    known = published(options)
    parts = options.accumulate or (max(config.batch // known.at_once, 1) if known else 1)
    config = resolve(override(config, form | {"accumulate": parts}))
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
    peak = torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else None
    images = cycles * CYCLE * config.batch
    return {
        "recipe": options.recipe, "side": options.side, "size": options.size, "form": options.form,
        "batch": config.batch, "accumulate": config.accumulate, "seconds_per_kimg": round(1000 * seconds / images, 3),
        "peak_gb": "" if peak is None else round(peak, 3), "steps": cycles * CYCLE,
    }  # fmt: skip


def published(options: argparse.Namespace) -> Published | None:
    """What these options are judged by."""
    two = options.recipe in ("stylegan2", "stylegan2-ada") and options.size == "paper"
    return PUBLISHED.get(options.side) if two else None


def judged(row: dict[str, Any], known: Published | None) -> dict[str, Any]:
    """The row beside the published figures, and whether it met the goals; nothing without figures or off a GPU."""
    if known is None or row["peak_gb"] == "":
        return row | dict.fromkeys(("published_seconds", "published_gb", "half_the_seconds", "within_memory"), "")
    goals = {
        "half_the_seconds": row["seconds_per_kimg"] <= known.seconds / 2,
        "within_memory": row["peak_gb"] <= known.gb,
    }
    words = {goal: "met" if met else "missed" for goal, met in goals.items()}
    return row | {"published_seconds": known.seconds, "published_gb": known.gb} | words


def verdict(rows: list[dict[str, Any]], known: Published | None) -> str:
    """In a sentence, with the fastest form: of those that met both goals, if any did."""
    if known is None or rows[0]["within_memory"] == "":
        return "no verdict: figures are published of StyleGAN2 on a GPU; type --size paper --side 256 (or 512, 1024)"
    met = [row for row in rows if row["half_the_seconds"] == row["within_memory"] == "met"]
    row = min(met or rows, key=lambda row: row["seconds_per_kimg"])
    forms = f"met by {len(met)} of {len(rows)} forms" if met else "missed"
    return (
        f"half of {known.seconds} s for 1000 images ({known.seconds / 2:.2f}) within {known.gb} GB: {forms}; the "
        f"fastest, {row['form']}, took {row['seconds_per_kimg']} s and {row['peak_gb']} GB, {row['batch']} images in "
        f"{row['accumulate']} parts (published: {known.at_once} in one, on an A100)"
    )


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
    parser.add_argument("--accumulate", type=int, help="parts of a batch; default: of as many images as published")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--form", choices=list(FORMS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.form:
        print(json.dumps(measure(options)))
        return
    try:
        pick_device(options.device)
    except ConfigError as problem:
        parser.exit(
            2, f"{parser.prog}: {problem}; to try the script: --device cpu --size laptop --side 16 --steps 16\n"
        )
    known, rows = published(options), []
    for form in FORMS:
        told = subprocess.run([sys.executable, *sys.argv, "--form", form], capture_output=True, text=True, check=False)
        if told.returncode:
            print(
                f"{form}: failed: {[f'exit code {told.returncode}', *told.stderr.strip().splitlines()][-1]}", flush=True
            )
            continue
        rows.append(judged(json.loads(told.stdout.splitlines()[-1]), known))
        print(rows[-1], flush=True)
        keep_row("stylegan_speed", rows[-1], KEYS, seed=0, device=options.device)
    print(verdict(rows, known) if rows else "no verdict: no form could be measured")
    raise SystemExit(len(rows) < len(FORMS))


if __name__ == "__main__":
    main()
