"""What docs/translation.md and the README say of translations runs, on budgets cut for the test."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import organza
from organza.cli import main
from organza.config import override
from organza.data.degrade import DEGRADATIONS
from organza.games import GAMES
from organza.penalties import PENALTIES
from organza.recipes import RECIPES
from organza.training.assemble import open_for
from organza.training.run import Run

DOCS = Path(__file__).parents[2] / "docs"
PAGE, README = (DOCS / "translation.md").read_text(), (DOCS.parent / "README.md").read_text()
TYPED = re.findall(r"^    organza (.+)$", PAGE, re.M)
BLOCK = next(block for block in re.findall(r"```bash\n(.*?)```", README, re.S) if "organza translate" in block)
SMALL = {"--generator.model.width": "4", "--discriminator.model.width": "4", "--discriminator.model.layers": "1",
         "--images": "8", "--output.log": "4", "--output.samples": "8", "--output.checkpoint": "8", "--batch": "4",
         "--output.score": "false"}  # fmt: skip


def pictures(folder: Path, count: int = 12, side: int = 16) -> None:
    folder.mkdir(parents=True)
    for number, pixels in enumerate(np.random.RandomState(0).randint(0, 256, (count, side, side, 3), np.uint8)):
        Image.fromarray(pixels).save(folder / f"{number:02}.png")


def cut(words: list[str]) -> list[str]:
    """A training of eight images with narrow networks, on 16 pixels where nothing is said of them."""
    if words[0] != "train":
        return words
    if "--minutes" in words:
        at = words.index("--minutes")
        words = words[:at] + words[at + 2 :]
    if "--data.resolution" in words:
        at = words.index("--data.resolution")
        words = words[:at] + words[at + 2 :]
    small = SMALL | {"--data.resolution": "16"}
    if words[1] == "spade":
        small |= {"--data.resolution": "32", "--discriminator.model.layers": "2"}
    return [*words, *(word for pair in small.items() for word in pair)]


def test_the_commands_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "p", 1, 20)
    (tmp_path / "p" / "00.png").rename("drawing.png")
    lines = [shlex.split(line)[1:] for line in BLOCK.splitlines()]
    assert [words[0] for words in lines] == ["train", "translate", "upscale"]
    for words in lines[:2]:  # the third asks for a file that is not ours
        main(cut(words))
    with Image.open(next(Path("coloured").glob("*.png"))) as made:
        assert made.size == (20, 20)


def test_the_commands_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("my/pairs/trainA", "my/pairs/trainB", "my/horse2zebra/trainA", "my/horse2zebra/trainB", "my/photos",
                   "my/zebras", "my/faces", "my/portraits"):  # fmt: skip
        pictures(Path(folder))
    names = "Black_Hair Blond_Hair Brown_Hair Male Smiling Young"
    rows = [f"{number:02}.jpg {('1 -1 -1 1 1 -1', '-1 1 -1 -1 1 1')[number % 2]}" for number in range(12)]
    Path("my/faces/list_attr_celeba.txt").write_text("\n".join(["12", names, *rows]))
    ran = [command for command in TYPED if re.match(r"(train|translate) ", command) and "film.mp4" not in command]
    assert len(ran) >= 6
    for command in ran:
        main(cut(shlex.split(command)))
    assert len(list(Path("zebras").glob("*.png"))) == len(list(Path("horses").glob("*.png"))) == 12
    assert len(list(Path("blond").glob("*.png"))) == len(list(Path("styled").glob("*.png"))) == 12
    assert (Path("zebras") / "before-after.html").is_file()
    receipt = organza.evaluate("runs/mine", metrics=("psnr", "ssim"))
    assert {score.name for score in receipt.scores} == {"psnr", "ssim"}


def test_the_tables_name_what_there_is() -> None:
    named = set(re.findall(r"`([a-z0-9-]+)`", PAGE))
    assert set(DEGRADATIONS) <= named
    assert {name for name, rule in PENALTIES.items() if rule.of != "all"} <= named
    recipes = {name for name, make in RECIPES.items() if GAMES[make((3, 64, 64), "laptop").game].translates}
    assert recipes <= named | set(re.findall(r"`([a-z0-9-]+)`", README))
    override(RECIPES["pix2pix"]((3, 64, 64), "laptop"), {"data.window": 256, "data.flip": "true"})


def test_links_of_the_page_exist() -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", PAGE)
    assert [link for link in links if not link.startswith("http") and not (DOCS / link).exists()] == []


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(DOCS.parent / "benchmarks"))
    monkeypatch.delitem(sys.modules, "translation", raising=False)
    return importlib.import_module("translation")


def test_the_table_is_that_of_the_results(benchmark: Any) -> None:
    assert benchmark.table() in PAGE


def test_styles_that_can_be_read_are_judged_in_those_of_counterparts(
    benchmark: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small = {"generator.model.width": 4, "discriminator.model.width": 4, "data.resolution": 32, "images": 8}
    small |= {"discriminator.model.scales": 1, "output.score": False, "output.pictures": False}
    monkeypatch.setitem(
        benchmark.DEMONSTRATIONS, "tiny", benchmark.Demonstration("munit", "emoji-pairs", changes=small)
    )
    monkeypatch.setattr(benchmark, "PICTURES", tmp_path)
    monkeypatch.setattr(benchmark, "METRICS", ("psnr",))
    drawn, read = benchmark.measure("tiny", tmp_path)
    assert (drawn["demonstration"], read["demonstration"], read["images"]) == ("tiny", "tiny-styled", 8)
    run = Run(tmp_path / "tiny")
    kept, translator = open_for(run.config).test, organza.load(run.path)
    made = [translator.translate(x[None], style=y) for x, y in zip(kept.sources, kept.images, strict=True)]
    error = (torch.cat(made).double() - kept.images).square().flatten(1).mean(1)
    assert read["psnr"] == pytest.approx(float((10 * (255**2 / error).log10()).mean()), abs=1e-3)
    assert abs(read["psnr"] - drawn["psnr"]) > 1e-3
