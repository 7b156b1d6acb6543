"""Mode collapse on Stacked-MNIST: how many of its 1000 modes a recipe makes, while it trains and at the end.

    python benchmarks/stacked_mnist.py --minutes 10                            # R3GAN as it fits a laptop
    python benchmarks/stacked_mnist.py --minutes 120 --size paper              # as published, for a GPU
    python benchmarks/stacked_mnist.py --minutes 10 --size paper --pace 0.2 --every 200000    # the goal, for a GPU
    python benchmarks/stacked_mnist.py --minutes 10 --recipe dcgan             # another one, in a file of its own

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
    changes = {"output.checkpoint": options.every, "output.samples": options.every, "pace": options.pace}
    with tempfile.TemporaryDirectory() as folder:
        run = organza.train(
            options.recipe, data=DATA, out=Path(folder) / "run", minutes=options.minutes, seed=options.seed,
            size=options.size, device=device, changes=changes,
        )  # fmt: skip
        rows, summary = curve(run), run.summary
        samples = organza.load(run.path, device).sample(STACKED_SAMPLES, seed=1_000_000)
    save_png(picture(samples[:64]), PICTURES / f"{name_of(options.recipe, options.size, device).replace('_', '-')}.png")
    rows.append(row("end", summary["images"], summary["seconds"], stacked_modes(samples)))
    rows.append(row("real", "", "", stacked_modes(open_dataset(DATA).images[:STACKED_SAMPLES])))
    return [{"recipe": options.recipe, "size": options.size, **each} for each in rows]


def table(recipe: str = "r3gan") -> str:
    """The curve and both ends, for the docs."""
    words = {"quick": "during training", "end": "at the end", "real": "real ones"}
    lines = [["samples of", "N", "images seen", "seconds", "modes of 1000", "reverse KL"]]
    for each in read_rows(name_of(recipe)):
        seen, seconds = (f"{float(each[key]):,.0f}" if each[key] else "" for key in ("images", "seconds"))
        figures = each["modes"], f"{float(each['reverse_kl']):.3f}"
        lines.append([words[each["what"]], f"{int(each['samples']):,}", seen, seconds, *figures])
    return markdown(lines)


def name_of(recipe: str, size: str = "laptop", device: str = "cpu") -> str:
    """Of the files in results: each recipe, size and kind of device has its own."""
    about = (recipe, "r3gan"), (size, "laptop"), (device.split(":")[0], "cpu")
    return "_".join(["stacked_mnist", *(name for name, usual in about if name != usual)])


def main() -> None:
    """Train, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="r3gan", choices=list(RECIPES))
    parser.add_argument("--size", default="laptop", choices=["laptop", "paper"])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--pace", type=float, default=1.0, help="of the recipe's images and schedules")
    parser.add_argument("--every", type=int, default=20_000, help="images between two quick scores")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = str(pick_device(options.device))
    rows = measure(options, device)
    print(*rows, sep="\n")
    write_rows(name_of(options.recipe, options.size, device), rows, options.seed, device)
    end = next(row for row in rows if row["what"] == "end")
    met = end["modes"] == 1000 and end["reverse_kl"] < 0.05
    print(f"1000 modes and a reverse KL under 0.05: {'met' if met else 'not met'}")


if __name__ == "__main__":
    main()
