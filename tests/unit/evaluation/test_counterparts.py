"""Results beside their counterparts: figures by hand, sides that do not pair, and a translating run judged whole."""

import json

import numpy as np
import pytest
import torch
from engine_helpers import reduced
from PIL import Image
from torch.nn import functional as F

import organza
from organza.config import ConfigError
from organza.data import SILENT
from organza.evaluation.counterparts import psnr
from organza.evaluation.names import in_line
from organza.evaluation.results import translated
from organza.evaluation.subjects import open_subject
from organza.hub import load_gan, load_translator
from organza.metrics.diversity import ssim
from organza.training.assemble import open_for
from organza.training.batches import to_bytes
from organza.training.run import Run

SMALL = {"generator.model.width": 4, "discriminator.model.width": 4, "discriminator.model.layers": 1, "batch": 4,
         "output.log": 4, "output.samples": 8, "output.checkpoint": 8, "output.score": False,
         "data.resolution": 16, "data.degrade": "outline"}  # fmt: skip


def images(count=6, side=16, seed=0):
    return torch.randint(0, 256, (count, 3, side, side), generator=torch.Generator().manual_seed(seed)).byte()


def test_psnr_is_ten_decibels_for_a_tenth_of_the_largest_square():
    dark = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    step = torch.full_like(dark, 51)  # a fifth of 255
    assert psnr(step, dark).item() == pytest.approx(10 * np.log10(25))
    assert psnr(dark, dark).item() == 100
    half = dark.clone()
    half[:, :, :2] = 51
    assert psnr(half, dark).item() == pytest.approx(10 * np.log10(50))


def test_ssim_by_its_formula_at_every_place():
    one, two = images(2, 13).double() / 255, images(2, 13, 1).double() / 255
    places = torch.arange(11.0, dtype=torch.float64) - 5
    line = torch.exp(-places.square() / (2 * 1.5**2))
    window = (line[:, None] * line) / line.sum() ** 2
    values = []
    for a, b in zip(one.flatten(0, 1), two.flatten(0, 1), strict=True):
        for top in range(3):
            for left in range(3):
                x, y = (side[top : top + 11, left : left + 11] for side in (a, b))
                mx, my = (x * window).sum(), (y * window).sum()
                vx, vy = (x * x * window).sum() - mx**2, (y * y * window).sum() - my**2
                both = (x * y * window).sum() - mx * my
                c1, c2 = 0.01**2, 0.03**2
                values.append((2 * mx * my + c1) / (mx**2 + my**2 + c1) * (2 * both + c2) / (vx + vy + c2))
    expected = torch.stack(values).view(2, -1).mean(1)
    assert torch.allclose(ssim(images(2, 13), images(2, 13, 1)).double(), expected, atol=1e-5)
    assert torch.allclose(ssim(one.float(), one.float()), torch.ones(2), atol=1e-5)


def test_sides_of_other_numbers_do_not_pair():
    with pytest.raises(
        ConfigError, match=r"psnr compares each result.*of \(6, 3, 16, 16\) and reals of \(5, 3, 16, 16\)"
    ):
        organza.evaluate(images(6), images(5), metrics="psnr")


def test_near_results_are_better_by_every_measure():
    real = F.avg_pool2d(images(8, 32).float(), 4).repeat_interleave(4, 2).repeat_interleave(4, 3).byte()
    near = (real.float() + 4 * torch.randn(real.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 255).byte()
    names = ("psnr", "ssim", "perceptual")
    close, far = (organza.evaluate(side, real, metrics=names) for side in (near, images(8, 32, 5)))
    for one, two in zip(close.scores, far.scores, strict=True):
        assert (two.value - one.value) * one.better > 0, one.name
        assert one.low <= one.value <= one.high
    assert 30 < close["psnr"].value < 40


def test_a_run_that_keeps_nothing_back_says_that_training_saw_what_it_is_judged_on(tmp_path):
    (tmp_path / "set").mkdir()
    for i, image in enumerate(images(12)):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / "set" / f"{i}.png")
    run = organza.train("pix2pix", data=str(tmp_path / "set"), out=tmp_path / "run", images=8, changes=SMALL)
    receipt = organza.evaluate(run.path, metrics="psnr")
    assert receipt["psnr"].n_fake == 12
    assert receipt["psnr"].real == "set, which training sees"


def test_a_run_is_judged_on_what_its_training_did_not_see(tmp_path):
    run = organza.train("pix2pix", data="emoji", out=tmp_path / "run", images=8, changes=SMALL)
    receipt = organza.evaluate(run.path, out=run.path / "evaluation.json")
    assert {"psnr", "ssim", "perceptual", "fd-general"} <= {score.name for score in receipt.scores}
    assert receipt["psnr"].n_fake == receipt["psnr"].n_real == 378
    card = (run.path / "model" / "README.md").read_text()
    assert "organza translate PICTURES --model FOLDER" in card
    assert "image-to-image" in card
    told = json.loads((run.path / "evaluation.json").read_text())
    assert told["fake"]["counterparts"] is True
    with pytest.raises(ConfigError, match=r"only a run knows which; type: organza translate IMAGES --model"):
        organza.evaluate(run.path / "model", "emoji")
    with pytest.raises(ConfigError, match="translates images; type: organza translate PICTURES --model"):
        load_gan(run.path)


def folder(path, **files):
    path.mkdir()
    for name, seed in files.items():
        Image.fromarray(images(1, seed=seed)[0].permute(1, 2, 0).numpy()).save(path / f"{name.replace('_', '-')}.png")
    return path


def test_two_folders_pair_by_their_names(tmp_path):
    """A hyphen stands before a dot, so that a suffix changes the order."""
    real = folder(tmp_path / "real", cat=1, cat_x=2, dog=3)
    made = folder(tmp_path / "made", cat_b=1, cat_x_b=2, dog_b=3)
    assert organza.evaluate(made, real, metrics="psnr")["psnr"].value == 100


def test_pairs_have_no_floor_as_a_real_has_no_counterpart_among_the_others(tmp_path):
    real = folder(tmp_path / "real", **{f"a{i}": i for i in range(8)})
    made = folder(tmp_path / "made", **{f"a{i}": i + 1 for i in range(8)})
    found = organza.evaluate(made, real, metrics=("psnr", "ssim"))["psnr"]
    assert 0 < found.value < 30
    assert found.floor is None


@pytest.mark.parametrize("names", [{"cat": 1, "cow": 2}, {"cat_b": 1, "cat": 2}])
def test_folders_whose_names_do_not_pair_are_refused(tmp_path, names):
    real, made = folder(tmp_path / "real", cat=1, dog=2), folder(tmp_path / "made", **names)
    with pytest.raises(ConfigError, match=r"do not match one to one: . of 2 results, such as c.*dog\.png"):
        organza.evaluate(made, real, metrics="psnr")


@pytest.mark.parametrize(("results", "reals", "order"), [
    (("b.png", "a.png"), ("a.jpg", "b.webp"), [1, 0]), (("a-x4.png", "b-x4.png"), ("test/a.png", "test/b.png"), [0, 1]),
    (("one.png",), ("other.png",), [0]), (("in/a-b.png", "on/a-b.png"), ("in/a.png", "on/a.png"), [0, 1]),
    (("a1-1.png", "b1-1.png"), ("a1.png", "b1.png"), [0, 1]),
])  # fmt: skip
def test_names_in_line(results, reals, order):
    assert in_line(results, reals, "psnr") == order


def cut(file, kept):
    """The beginning of a file alone: of a few bytes no header can be read, of half a file the header."""
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content))])


@pytest.mark.parametrize("kept", [0.01, 0.5])
def test_a_broken_file_moves_no_pairs(tmp_path, kept):
    """Where both sides lack the same picture the others pair by name still; else they are refused."""
    real = folder(tmp_path / "real", cat=1, cat_x=2, dog=3, fox=4)
    cut(real / "fox.png", kept)
    whole = folder(tmp_path / "whole", cat_b=1, cat_x_b=2, dog_b=3)  # in another order than the reals
    assert organza.evaluate(whole, real, metrics="psnr")["psnr"].value == 100
    other = folder(tmp_path / "other", cat_x=2, dog=3, fox=4)
    with pytest.raises(
        ConfigError, match=r"one to one: 1 of 3 results, such as fox\.png, and 1 of 3 reals, such as cat"
    ):
        organza.evaluate(other, real, metrics="psnr")
    with pytest.raises(
        ConfigError, match=r"one to one: 1 of 3 results, such as cat\.png, and 1 of 3 reals, such as fox"
    ):
        organza.evaluate(real, other, metrics="psnr")


def test_each_result_is_drawn_in_a_style_of_its_own(tmp_path):
    """One style for all would be judged as a set without variety; that each is of its number is exact to rounding."""
    never = {"images": 4, "output.log": 4, "output.score": False, "output.pictures": False, "output.evaluate": False}
    run = organza.train("munit", data="emoji-pairs", out=tmp_path / "run", changes=reduced("munit") | never).path
    translator = load_translator(run)
    made, targets = translated(translator, run, SILENT)
    sources = open_for(Run(run).config).test.sources
    for row in (0, 1, 17):
        own = translator.translate(sources[row : row + 1].float(), seed=row)
        assert (made[row].int() - to_bytes(own)[0].int()).abs().max() <= 1
    first = to_bytes(translator.translate(sources[17:18].float(), seed=0))
    assert (made[17].int() - first[0].int()).abs().max() > 4
    seen = open_subject(run, "cpu", SILENT)
    assert seen.origin["first_seed"] == 0
    assert len(seen) == len(targets)
