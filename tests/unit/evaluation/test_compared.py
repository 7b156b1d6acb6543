"""A beside B: paired tests under every name, and scores that compare or say why they do not."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from latent_helpers import tiny
from PIL import Image
from torch import nn

import organza
from organza.config import ConfigError, Model
from organza.data import open_dataset
from organza.evaluation import ALIASES, is_better, must_compare, side_by_side
from organza.evaluation.evidence import Features
from organza.hub import GAN
from organza.latent.sampling import latents
from organza.metrics.networks import open_network

ONE_SCORE = ("fid", "fid-clean", "kid", "kid-clean", "fd-dinov2")
TWO_SCORES = {"improved-precision-recall": "precision@vgg16 or recall@vgg16"}


class Blobs(nn.Module):
    """Grey images 1x28x28 from four numbers; `broken` are those whose first number is above it."""

    z_dim = 4

    def __init__(self, scale=1.0, broken=9.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 784, generator=torch.Generator().manual_seed(0)) * 0.4 * scale)
        self.broken = broken

    def forward(self, z, labels=None):
        made = (z @ self.weight).tanh().view(-1, 1, 28, 28)
        return made.masked_fill((z[:, 0] > self.broken)[:, None, None, None], torch.nan)


def blobs(**options):
    return GAN(Blobs(**options).requires_grad_(False), Model(name="blobs"), (1, 28, 28), recipe="blobs")


@pytest.fixture(scope="module")
def digits():
    return open_dataset("mnist").images[:600]


@pytest.fixture
def at_hand(monkeypatch):
    """The embedded network in the place of those whose weights are not here."""
    general = open_network("general")
    monkeypatch.setattr(
        "organza.evaluation.through.open_network",
        lambda name, **_: replace(general, name=name, classes=0) if name != "digits" else open_network(name),
    )


@pytest.mark.parametrize("name", sorted(ALIASES))
def test_a_published_name_is_tested_or_refused_before_anything_is_drawn(digits, at_hand, name, monkeypatch):
    real, good, bad = digits[:200], digits[200:400], digits[400:] // 3
    if name in ONE_SCORE:
        found = is_better(good, bad, real, name)
        assert found.decided
        assert found.difference < 0
        return
    monkeypatch.setattr("organza.evaluation.compared.draw", lambda *_: pytest.fail("sampled first"))
    with pytest.raises(ConfigError, match=TWO_SCORES.get(name, "a paired test takes fd, kd.*fid, fid-clean, kid")):
        is_better(good, bad, real, name)


@pytest.mark.parametrize("name", ["precision-recall", "density-coverage", "precision-recall@digits"])
def test_a_metric_of_two_scores_says_which_to_type(digits, name):
    half = name.partition("-")[0] + ("@digits" if "@" in name else "")
    with pytest.raises(ConfigError, match=f"two scores.*type {half} or "):
        is_better(digits, digits, digits, name)


def test_a_gan_is_no_better_than_itself_and_pairs_tell_near_ones_apart(digits):
    one = blobs()
    for metric in ("fd", "kd", "recall"):
        same = is_better(one, blobs(), digits, metric, samples=150)
        assert same.difference == same.low == same.high == 0
        assert not same.decided
    assert is_better(one, blobs(scale=1.02), digits, samples=150).decided
    made = [side.sample(150, seed=1_000_000) for side in (one, blobs(scale=1.02))]
    unpaired = is_better(made[0], made[1], digits)
    assert unpaired.high - unpaired.low > 0


def test_sides_of_unequal_n_are_judged_at_the_same(digits, tmp_path, listener):
    """Both are of one distribution, and fewer samples have a greater distance."""
    a, b, real, out = digits[:250], digits[250:290], digits[300:], tmp_path / "receipt.json"
    found = is_better(a, b, real, out=out, progress=listener)
    assert not found.decided
    told = json.loads(out.read_text())
    assert told["a"]["samples"] == told["b"]["samples"] == 40
    assert told["notes"][0].startswith("A has 250 samples and B has 40: 40 of each are judged")
    assert told["notes"] == listener.notes[-len(told["notes"]) :]
    assert is_better(blobs(), b, real, samples=100, out=out).low
    assert json.loads(out.read_text())["a"]["samples"] == 40


def test_a_paired_test_warns_of_jpeg_and_few_samples(digits, tmp_path, listener):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, image in enumerate(digits[:60]):
        Image.fromarray(image[0].numpy()).save(folder / f"{number:02}.jpg")
    is_better(digits[60:120], folder, digits, progress=listener)
    jpeg, few = listener.notes[-2:]
    assert jpeg.startswith("the second images are JPEG")
    assert few.startswith("60 samples are fewer than the 128 features of general")


def test_an_interrupted_comparison_goes_on(digits, tmp_path, monkeypatch):
    out, looked = tmp_path / "receipt.json", []
    block, compare = Features._block, "organza.evaluation.compared.compare"
    with monkeypatch.context() as patch:
        patch.setattr(compare, lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            is_better(digits[:200], digits[200:400], digits[400:], out=out)
    assert len(list(Path(f"{out}.parts").iterdir())) == 3
    monkeypatch.setattr("organza.metrics.networks.Extractor.both", lambda *_: pytest.fail("looked twice"))
    monkeypatch.setattr(Features, "_block", lambda *given: looked.append(1) or block(*given))
    assert is_better(digits[:200], digits[200:400], digits[400:], out=out).low
    assert len(looked) == 3
    assert not Path(f"{out}.parts").exists()


def test_a_receipt_in_the_place_of_a_folder_is_refused_first(digits, tmp_path):
    for judge in (lambda: is_better(digits, digits, digits, out=tmp_path),
                  lambda: organza.evaluate(digits, digits, out=tmp_path)):  # fmt: skip
        with pytest.raises(ConfigError, match=r"a folder; give a file, such as .*evaluation\.json"):
            judge()
    assert not list(tmp_path.iterdir())


def test_settings_reach_the_samples_and_the_receipt(digits, tmp_path):
    a, b, out = blobs(), blobs(scale=3.0), tmp_path / "receipt.json"
    plain, cut = (
        is_better(a, b, digits, "fd@digits", samples=100, real_samples=300, truncation=t, out=out) for t in (None, 0.3)
    )
    assert cut.difference != plain.difference
    told = json.loads(out.read_text())
    assert (told["metric"], told["network"], told["better"]) == ("fd@digits", "digits", 1)
    assert told["difference"] == cut.difference
    assert told["a"]["value"] - told["b"]["value"] == pytest.approx(cut.difference)
    assert told["a"]["truncation"] == told["b"]["truncation"] == 0.3
    assert "100 fake, 300 real" in told["a"]["protocol"]
    assert told["paired_samples"] is True
    for judge in (lambda: is_better(digits, digits, digits, truncation=0.5),
                  lambda: organza.evaluate(digits, digits, truncation=0.5)):  # fmt: skip
        with pytest.raises(ConfigError, match=r"truncation is 0.5, but images are judged as they are"):
            judge()


def test_other_reals_and_truncated_samples_do_not_compare(digits):
    """The same protocol to the letter: only what was compared differs."""
    gan, asked = blobs(), {"metrics": "fd", "network": "digits", "samples": 100}
    mine, inverted, cut = (
        organza.evaluate(gan, real, truncation=t, **asked)
        for real, t in ((digits, None), (255 - digits, None), (digits, 0.5))
    )
    assert mine["fd"].protocol == inverted["fd"].protocol == cut["fd"].protocol
    again = organza.evaluate(blobs(scale=1.3), digits.numpy(), **asked)
    must_compare(mine["fd"], again["fd"])
    with pytest.raises(ConfigError, match=r"(?s)do not compare; they differ in\n  real data: array \(fingerprint"):
        must_compare(mine["fd"], inverted["fd"])
    with pytest.raises(ConfigError, match=r"differ in\n  truncation: none\n +0.5\n"):
        side_by_side(mine, cut)
    head, row = side_by_side(mine, again)
    assert head[3] == "A - B"
    assert float(row[3]) == pytest.approx(mine["fd"].value - again["fd"].value, rel=1e-2)
    assert row[4] in ("overlap", "apart")
    assert side_by_side(mine, mine)[1][3:] == ("0", "overlap")
    other = organza.evaluate(gan, digits, "fd@general", samples=100)
    with pytest.raises(ConfigError, match="no score in common: fd-digits and fd-general"):
        side_by_side(mine, other)
    with pytest.raises(ConfigError, match="no score 'kd'; there are fd-digits"):
        side_by_side(mine, again, ["kd"])


def test_the_split_of_named_data_is_told():
    fakes = open_dataset("mnist").images[:50]
    one, two = (organza.evaluate(fakes, "mnist", "ms-ssim", real_samples=50, split=s) for s in ("train", "test"))
    with pytest.raises(ConfigError, match=r"(?s)real data: mnist train \(.*mnist test \("):
        must_compare(one["ms-ssim"], two["ms-ssim"])


@pytest.mark.parametrize("truncation", [None, 0.5])
@pytest.mark.parametrize("where", ["rgb", "w"])
def test_samples_that_are_not_finite_are_counted_and_not_judged(digits, where, truncation):
    gan = tiny("stylegan2", shape=(1, 28, 28))
    part = gan.generator.synthesis if where == "rgb" else gan.generator.mapping
    next(part.parameters()).fill_(torch.nan)
    with pytest.raises(ConfigError, match=r"^20 of 20 samples of stylegan2 hold NaN or infinity"):
        organza.evaluate(gan, digits, samples=20, truncation=truncation)


def test_some_samples_that_are_not_finite_are_counted_too(digits):
    gan = blobs(broken=0.5)
    seeds = range(1_000_000, 1_000_300)
    count = int(gan.generator(latents(seeds, 4)).isnan().flatten(1).any(1).sum())
    assert 60 < count < 140
    for judge in (lambda: organza.evaluate(gan, digits, samples=300),
                  lambda: is_better(blobs(), gan, digits, samples=300)):  # fmt: skip
        with pytest.raises(ConfigError, match=f"{count} of 300 samples of blobs hold NaN"):
            judge()
    assert not gan.generator._forward_hooks


def test_weights_go_to_the_networks_that_need_them(digits, monkeypatch):
    given = {}
    monkeypatch.setattr(
        "organza.evaluation.through.open_network",
        lambda name, weights, **_: given.update({name: weights}) or open_network("general"),
    )
    both = ("fd@general", "fid", "kid-clean")
    organza.evaluate(digits[:100], digits, both, weights="x.pth")
    assert given == {"general": None, "inception-legacy": "x.pth", "inception-clean": "x.pth"}
    with pytest.raises(
        ConfigError, match=r"fid that of pt_inception.*fd-dinov2 that of dinov2_vitl14.*ORGANZA_WEIGHTS"
    ):
        organza.evaluate(digits, digits, ("fid", "fd-dinov2"), weights="x.pth")
    with pytest.raises(ConfigError, match=r"fid that of pt_inception.*lpips that of alexnet-owt"):
        organza.evaluate(digits, digits, ("fid", "lpips"), weights="x.pth")
    for names in (("fd@general", "fd@digits"), ("ms-ssim",)):
        with pytest.raises(ConfigError, match="needs no file: leave out weights"):
            organza.evaluate(digits, digits, names, weights="x.pth")


def test_labels_are_counted_where_modes_are_not(digits):
    labels = open_dataset("mnist").labels[:600]
    few = digits[labels < 4]
    found = organza.evaluate(few, digits, "labels", network="digits")
    present = found["labels-present"]
    assert present.name == "labels-present-digits"
    assert 4 <= present.value <= 6  # the classifier errs
    assert 1 <= present.low <= present.value <= present.high <= 10
    assert present.details["of"] == present.floor == 10
    assert present.better == -1
    with pytest.raises(ConfigError, match="type --metrics labels"):
        organza.evaluate(digits[:20], "mnist", "modes", real_samples=20)
