"""What the recipes of translation and restoration reach on the embedded emoji and on photographs, in minutes.

    python benchmarks/translation.py                       # every demonstration, one after the other
    python benchmarks/translation.py outlines twemoji-cut  # some; rows of results/translation.csv are kept
    python benchmarks/translation.py --table               # the table of the docs

Each trains with the recipe's own `laptop` size at 64x64 for as many minutes as it says, and is judged on images that
training did not see: PSNR, SSIM and the embedded perceptual distance beside the true counterparts (which the unpaired
recipes never saw as such), and the Fréchet distance of results to targets in the features of the embedded network.
Pictures go to docs/pictures. `photographs` are those in colour that scikit-image ships, in tiles of 64x64 pixels; its
cat and its astronaut are kept from training. `x4` and `x4-photographs` train on bicubic copies, `x4-degraded` on the
recipe's own second-order pipeline. `tones` are the embedded emoji of people in five tones of skin, which are the
classes; every tenth person is kept from training and has its counterparts in the other four. Recipes with stages
have all of them in fewer images, by `pace`. Where styles can be read from images, a second row, `-styled`, has each
source in the style of its own counterpart: what a style drawn at random makes of it has no counterpart.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from common import keep_row, markdown, read_rows
from PIL import Image
from torch import Tensor

import organza
from organza.data import open_data
from organza.evaluation import Receipt
from organza.hub.translator import Translator
from organza.report.grid import grid_image
from organza.training.assemble import open_for
from organza.training.run import Run

NAME, KEYS, SEED = "translation", ("demonstration",), 0
PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
METRICS = ("psnr", "ssim", "perceptual", "fd")
SCORES = ("psnr", "ssim", "perceptual", "fd-general")
PHOTOGRAPHS = {
    "train": ("rocket.jpg", "coffee.png", "motorcycle_left.png", "hubble_deep_field.jpg", "ihc.png", "retina.jpg"),
    "test": ("chelsea.png", "astronaut.png"),
}
TILE = 64
TONES = {
    "1F3FB": "1 light",
    "1F3FC": "2 medium light",
    "1F3FD": "3 medium",
    "1F3FE": "4 medium dark",
    "1F3FF": "5 dark",
}


@dataclass(frozen=True)
class Demonstration:
    """A recipe, its data, and for how long; without minutes it takes the recipe's images, times `pace`."""

    recipe: str
    data: str
    minutes: float | None = None
    changes: dict[str, Any] = field(default_factory=dict)


PLAIN = {"precision": "float32"}  # where bfloat16 is slower, as on processors that have it without tiles
SMALL = {"data.resolution": 32}

DEMONSTRATIONS = {
    "outlines": Demonstration("pix2pix", "emoji", 10.0, {"data.degrade": "outline"}),
    "twemoji": Demonstration("pix2pix", "emoji-pairs", 10.0),
    "twemoji-cyclegan": Demonstration("cyclegan", "emoji-pairs", 14.0),
    "twemoji-cut": Demonstration("cut", "emoji-pairs", 14.0),
    "twemoji-unit": Demonstration("unit", "emoji-pairs", 14.0),
    "twemoji-munit": Demonstration("munit", "emoji-pairs", 14.0),
    "colours": Demonstration("colorize", "emoji", 10.0),
    "x4": Demonstration("real-esrgan", "emoji", 12.0, {"data.degrade": "bicubic-x4"}),
    "x4-photographs": Demonstration("real-esrgan", "photographs", 12.0, {"data.degrade": "bicubic-x4"}),
    "holes": Demonstration("inpaint", "emoji", 12.0),
    "holes-lama": Demonstration("lama", "emoji", 12.0),
    "twemoji-hd": Demonstration("pix2pixhd", "emoji-pairs", changes=PLAIN | {"pace": 0.2}),
    "twemoji-drawn": Demonstration("animegan", "emoji-pairs", changes=PLAIN | {"pace": 0.2}),
    "regions": Demonstration("spade", "emoji", changes=PLAIN | {"pace": 0.08}),
    "colours-nogan": Demonstration("colorize-nogan", "emoji", changes=PLAIN | {"pace": 0.048}),
    "x4-esrgan": Demonstration("esrgan", "emoji", changes=PLAIN | {"pace": 0.1125}),
    "x4-degraded": Demonstration("real-esrgan", "emoji", changes=PLAIN | {"pace": 0.175}),
    "tones": Demonstration("stargan", "tones", changes=SMALL | {"pace": 0.2}),
    "tones-v2": Demonstration("stargan-v2", "tones", changes=SMALL | {"pace": 0.5}),
}


def photographs(folder: Path) -> str:
    """The photographs of the installed scikit-image as tiles in `train` and `test`."""
    import skimage  # pip install scikit-image

    for split, names in PHOTOGRAPHS.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        for name in names:
            with Image.open(Path(skimage.__file__).parent / "data" / name) as image:
                whole = image.convert("RGB")
            for top in range(0, whole.height - TILE + 1, TILE):
                for left in range(0, whole.width - TILE + 1, TILE):
                    tile = whole.crop((left, top, left + TILE, top + TILE))
                    tile.save(folder / split / f"{Path(name).stem}-{top:04}-{left:04}.png")
    return str(folder)


def people(folder: Path) -> str:
    """The embedded emoji of people in five tones of skin, a folder for each tone, in `train` and `test`."""
    emoji, found = organza.open_dataset("emoji"), dict[str, dict[str, int]]()
    for row, caption in enumerate(emoji.captions):
        if toned := re.fullmatch(r"(.+), skin tone (\w+)", caption):
            found.setdefault(toned[1], {})[TONES[toned[2]]] = row
    whole = [rows for rows in found.values() if len(rows) == len(TONES)]
    for number, rows in enumerate(whole):
        for tone, row in rows.items():
            place = folder / ("test" if number % 10 == 9 else "train") / tone
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(emoji.images[row].permute(1, 2, 0).numpy()).save(place / f"{number:03}.png")
    return str(folder)


READ = ("munit", "stargan-v2")  # recipes whose styles can be read from images
MADE = {"photographs": photographs, "tones": people}  # data that are written into a folder first


def measure(name: str, runs: Path) -> list[dict[str, Any]]:
    """Train as the command line would, and judge the run; where styles can be read, in those of counterparts too."""
    what = DEMONSTRATIONS[name]
    if (runs / name / "summary.json").is_file():  # trained before, and kept by --runs
        run = Run(runs / name)
    else:
        data = MADE[what.data](runs / "data" / what.data) if what.data in MADE else what.data
        run = organza.train(
            what.recipe, data=data, out=runs / name, minutes=what.minutes, seed=SEED, device="cpu",
            changes=what.changes,
        )  # fmt: skip
    toned = what.data == "tones"
    receipt, right = in_every_tone(run, name) if toned else (organza.evaluate(run.path, metrics=METRICS), "")
    receipt.save(run.path / "evaluation.json")
    if what.recipe == "munit":
        styles(run)
    if not toned:
        last = sorted((run.path / "samples").glob("*-ema.png"))[-1]
        shutil.copyfile(last, PICTURES / f"translation-{name}.png")
    rows = [_row(name, run, receipt, right)]
    if what.recipe in READ:
        name = f"{name}-styled"
        receipt, right = in_every_tone(run, name, read=True) if toned else (in_styles(run), "")
        rows.append(_row(name, run, receipt, right))
    return rows


def _row(name: str, run: Run, receipt: Receipt, right: float | str) -> dict[str, Any]:
    what, summary = DEMONSTRATIONS[name.removesuffix("-styled")], run.summary
    row = {"demonstration": name, "recipe": what.recipe, "data": what.data}
    row |= {"minutes": what.minutes or round(summary["seconds"] / 60, 1)}
    row |= {"images": summary["images"], "seconds": summary["seconds"]}
    for score in receipt.scores:
        row |= {score.name: round(score.value, 4), f"{score.name} low": score.low, f"{score.name} high": score.high}
    return row | {"samples": receipt.scores[0].n_fake, "tone right": right}


def in_every_tone(run: Run, name: str, read: bool = False, shown: int = 9) -> tuple[Receipt, float]:
    """People that training did not see in each other tone, beside the emoji that are just these.

    And the share of results that are nearer to theirs than to the same emoji in the other four tones. `read` takes the
    style of each result from the emoji that it shall become.
    """
    kept, translator = open_data(run.config.data, split="test"), organza.load(run.path)
    assert isinstance(translator, Translator)
    tones = len(translator.classes)
    truth = kept.images.view(tones, -1, *kept.shape)  # files come in the order of the tones, and then of the people
    made = torch.stack([
        styled(translator, kept.images, wanted.repeat(tones, 1, 1, 1), tone) if read
        else drawn(translator, kept.images, tone)
        for tone, wanted in zip(translator.classes, truth, strict=True)
    ]).view(tones, *truth.shape)  # fmt: skip
    rows, given = torch.linspace(0, truth.shape[1] - 1, shown).long(), tones // 2
    cells = torch.cat([truth[given, rows], *made[:, given, rows]])
    grid_image(cells, shown).save(PICTURES / f"translation-{name}.png")
    other = ~torch.eye(tones, dtype=torch.bool)  # asked for a tone that the source does not have
    nearest = (made[:, :, None].float() - truth.float()).abs().flatten(4).mean(4).argmin(2)  # [asked, given, person]
    right = nearest[other] == torch.arange(tones).repeat_interleave(tones - 1)[:, None]
    wanted = truth[:, None].expand_as(made)[other].flatten(0, 1)
    return organza.evaluate(made[other].flatten(0, 1), wanted, METRICS), round(float(right.float().mean()), 4)


def drawn(translator: Translator, sources: Tensor, label: str) -> Tensor:
    """Each source in the style of a seed of its own, where there are styles."""
    if not translator.draws:
        return translator.translate(sources, label=label)
    return torch.cat([translator.translate(source[None], seed=row, label=label) for row, source in enumerate(sources)])


def styled(translator: Translator, sources: Tensor, like: Tensor, label: str | None = None) -> Tensor:
    """Each source in the style of the image beside it."""
    pairs = zip(sources, like, strict=True)
    return torch.cat([translator.translate(source[None], style=style, label=label) for source, style in pairs])


def in_styles(run: Run) -> Receipt:
    """Sources in the styles of their counterparts, none of which training saw."""
    kept, translator = open_for(run.config).test, organza.load(run.path)
    assert kept is not None
    assert kept.sources is not None
    assert isinstance(translator, Translator)
    return organza.evaluate(styled(translator, kept.sources, kept.images), kept.images, METRICS)


def styles(run: Run, count: int = 6) -> None:
    """Images of A (above) in the styles of images of B (on the left), none of which training saw."""
    kept, translator = open_for(run.config).test, organza.load(run.path)
    assert kept is not None
    assert kept.sources is not None
    assert isinstance(translator, Translator)
    rows = torch.linspace(0, len(kept) - 1, 10).long()[:count]
    above, left = kept.sources[rows], kept.images[rows]
    cells = [torch.full_like(above[:1], 255), above]
    for style in left:
        cells += [style[None], translator.translate(above, style=style)]
    grid_image(torch.cat(cells), count + 1).save(PICTURES / "translation-styles.png")


def table() -> str:
    """Every demonstration, as it was measured."""
    head = ["demonstration", "recipe", "PSNR dB", "SSIM", "perceptual", "FD general", "images", "minutes"]
    return markdown([head, *(_line(row) for row in read_rows(NAME))])


def _line(row: dict[str, str]) -> list[str]:
    scores = [f"{float(row[name]):.4g}" if row[name] else "" for name in SCORES]
    return [row["demonstration"], f"`{row['recipe']}`", *scores, f"{int(row['images']):,}", row["minutes"]]


def main() -> None:
    """Measure, and keep each row at once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*DEMONSTRATIONS, []], help="all, if none is named")
    parser.add_argument("--runs", type=Path, help="keep the runs here")
    parser.add_argument("--table", action="store_true", help="print what was measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in [] if options.table else options.names or DEMONSTRATIONS:
            for row in measure(name, options.runs or Path(folder)):
                print(row, flush=True)
                keep_row(NAME, row, KEYS, SEED)
    print(table())


if __name__ == "__main__":
    main()
