"""Mode collapse on Stacked-MNIST: how many of its 1000 modes a recipe makes, while it trains and at the end.

    python benchmarks/stacked_mnist.py --minutes 60                          # on a processor
    python benchmarks/stacked_mnist.py --minutes 10 --device cuda            # the goal, for a GPU
    python benchmarks/stacked_mnist.py r3gan --minutes 10                    # another method, in a file of its own
    python benchmarks/stacked_mnist.py r3gan --minutes 420 --size paper      # as published, for a GPU

The goal is 1000 modes and a reverse KL under 0.05 in ten minutes of an H100. `plain` is R3GAN's loss with both of its
penalties between the convolutions of DCGAN, without norms and with He's start. Methods beside it are recipes with their
own settings.

`results/stacked_mnist.csv` has a row for each quick score (5 000 samples of the average), one for 26 000 samples at the
end, and one for 26 000 real ones, the floor. Rows are compared at equal numbers of samples only. Published, of 26 000
samples: WGAN-GP 959 modes, reverse KL 0.73; StyleGAN2 940, 0.42; PresGAN 1000, 0.12; R3GAN 1000, 0.029
(arXiv:2501.05441), each read by another classifier than ours.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from common import RESULTS, markdown, read_rows, write_rows

import organza
from organza.data import open_dataset
from organza.metrics.modes import STACKED_SAMPLES, StackedModes, stacked_modes
from organza.recipes import RECIPES
from organza.report.grid import picture, save_png
from organza.training.precision import pick_device
from organza.training.run import Run

DATA = "stacked-mnist"
RATE = {"start": 1e-3, "end": 1e-5, "images": 1_000_000, "shape": "linear"}
WEIGHT = {"start": 0.5, "end": 0.05, "images": 500_000}  # half of gamma, as for R3GAN on this data set
PLAIN = {
    "loss": "relativistic", "share_fakes": False, "batch": 64, "precision": "float32",
    "ema.half_life": 50_000,
    "generator.model.norm": "none", "generator.model.slope": 0.2, "discriminator.model.norm": "none",
    "discriminator.model.width": 32, "discriminator.model.max_width": 128,
    "discriminator.penalties": "r1,r2",
    "discriminator.penalties.r1.weight": WEIGHT, "discriminator.penalties.r2.weight": WEIGHT,
} | {
    f"{player}.{field}": value for player in ("generator", "discriminator")
    for field, value in {"init": "he", "optimizer.lr": RATE, "optimizer.beta1": 0, "optimizer.beta2": 0.99}.items()
}  # fmt: skip
METHODS: dict[str, tuple[str, dict[str, Any]]] = {"plain": ("dcgan", PLAIN), **{name: (name, {}) for name in RECIPES}}
PICTURES = RESULTS.parents[1] / "docs" / "pictures"


def curve(run: Run) -> list[dict[str, Any]]:
    """The quick scores of a run, in the order of its log."""
    lines = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    return [
        row("quick", line["images"], line["seconds"], StackedModes(int(modes), line["score/reverse-kl-5k"], 5_000))
        for line in lines
        if (modes := line.get("score/modes-5k")) is not None
    ]


def row(what: str, images: int | str, seconds: float | str, found: StackedModes) -> dict[str, Any]:
    """One line of the table."""
    figures = {"samples": found.samples, "modes": found.modes, "reverse_kl": round(found.reverse_kl, 4)}
    return {"what": what, "images": images, "seconds": seconds, **figures}


def measure(options: argparse.Namespace, device: str) -> list[dict[str, Any]]:
    """Train as the command line would, then judge the exported model."""
    recipe, changes = METHODS[options.method]
    changes = changes | {"output.checkpoint": options.every, "output.samples": options.every}
    with tempfile.TemporaryDirectory() as folder:
        run = organza.train(
            recipe, data=DATA, out=Path(folder) / "run", minutes=options.minutes, seed=options.seed,
            size=options.size, device=device, changes=changes,
        )  # fmt: skip
        rows, summary = curve(run), run.summary
        samples = organza.load(run.path, device).sample(STACKED_SAMPLES, seed=1_000_000)
    save_png(picture(samples[:64]), PICTURES / f"{name_of(options.method, options.size, device).replace('_', '-')}.png")
    rows.append(row("end", summary["images"], summary["seconds"], stacked_modes(samples)))
    rows.append(row("real", "", "", stacked_modes(open_dataset(DATA).images[:STACKED_SAMPLES])))
    return [{"method": options.method, "size": options.size, **each} for each in rows]


def table(method: str = "plain") -> str:
    """The curve and both ends, for the docs."""
    words = {"quick": "during training", "end": "at the end", "real": "real ones"}
    lines = [["samples of", "N", "images seen", "seconds", "modes of 1000", "reverse KL"]]
    for each in read_rows(name_of(method)):
        seen, seconds = (f"{float(each[key]):,.0f}" if each[key] else "" for key in ("images", "seconds"))
        figures = each["modes"], f"{float(each['reverse_kl']):.3f}"
        lines.append([words[each["what"]], f"{int(each['samples']):,}", seen, seconds, *figures])
    return markdown(lines)


def name_of(method: str, size: str = "laptop", device: str = "cpu") -> str:
    """Of the files in results: each method, size and kind of device has its own."""
    about = (method, "plain"), (size, "laptop"), (device.split(":")[0], "cpu")
    return "_".join(["stacked_mnist", *(name for name, usual in about if name != usual)])


def main() -> None:
    """Train, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", nargs="?", default="plain", choices=list(METHODS))
    parser.add_argument("--size", default="laptop", choices=["laptop", "paper"])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--every", type=int, default=100_000, help="images between two quick scores")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = str(pick_device(options.device))
    rows = measure(options, device)
    print(*rows, sep="\n")
    write_rows(name_of(options.method, options.size, device), rows, options.seed, device)
    end = next(row for row in rows if row["what"] == "end")
    met = end["modes"] == 1000 and end["reverse_kl"] < 0.05
    print(f"1000 modes and a reverse KL under 0.05: {'met' if met else 'not met'}")


if __name__ == "__main__":
    main()
