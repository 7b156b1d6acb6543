"""Equivariance as a metric of a model: the numbers of organza.metrics.equivariance, for the samples that are judged."""

import math

import pytest
import torch
from latent_helpers import tiny

import organza
from organza.config import ConfigError
from organza.latent.sampling import latents
from organza.metrics.equivariance import decibels, motions, of_waves, squared_errors

NAMES = {"eq-t": "integer", "eq-t-frac": "fractional", "eq-r": "rotation"}
COUNT = 5


@pytest.fixture(scope="module")
def gan():
    made = tiny("stylegan3", shape=(3, 32, 32), width=12, max_width=12, margin=6, clamp=None)
    made.generator.train()(torch.randn(4, 8))  # the magnitudes are measured
    made.generator.eval()
    return made


@pytest.fixture(scope="module")
def receipt(gan):
    return organza.evaluate(gan, metrics=tuple(NAMES), samples=COUNT)


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_those_of_the_judged_samples(gan, receipt, name):
    codes = gan.generator.broadcast(gan.generator.mapping(latents(range(1_000_000, 1_000_000 + COUNT), 8)))
    moved = motions(COUNT, (32, 32), NAMES[name], seed=0)
    errors = squared_errors(of_waves(gan.generator, codes.detach(), (32, 32)), moved, NAMES[name])
    found = receipt[name]
    assert found.value == pytest.approx(decibels(float(errors.mean())), abs=1e-3)
    assert decibels(float(errors.max())) - 1e-3 <= found.low < found.value < found.high
    assert found.high <= decibels(float(errors.min())) + 1e-3
    assert (found.better, found.n_fake, found.n_real, found.floor) == (-1, COUNT, 0, None)


def test_waves_move_and_turns_are_for_other_networks(receipt):
    assert 35 < receipt["eq-t"].value < 90
    assert 35 < receipt["eq-t-frac"].value < 100
    assert 5 < receipt["eq-r"].value < 35  # kernels of 3x3 do not turn


def test_classes_truncation_and_a_size_that_is_too_small():
    small = tiny("stylegan3", classes=3, shape=(3, 16, 16), layers=6, margin=6)
    plain, cut = (organza.evaluate(small, metrics="eq-t", samples=4, truncation=t)["eq-t"] for t in (None, 0.3))
    assert math.isfinite(plain.value)
    assert plain.value != cut.value
    with pytest.raises(ConfigError, match="sides of at least 32 and has 16x16; take eq-t"):
        organza.evaluate(small, metrics="eq-r", samples=4)


def test_a_picture_that_never_moves_is_finite_and_saved(tmp_path):
    """All pictures are equal and grey: no error at all."""
    grey = tiny("stylegan3", shape=(3, 32, 32), width=12, max_width=12, margin=6)
    *_, last = (n for n in grey.generator.state_dict() if n.endswith("affine.weight"))
    for part in ("weight", "bias"):  # of the styles of the last layer, which take its input away
        grey.generator.get_parameter(last.replace("weight", part)).zero_()
    found = organza.evaluate(grey, metrics="eq-t", samples=4, out=tmp_path / "receipt.json")["eq-t"]
    assert [found.low, found.value, found.high] == pytest.approx([decibels(1e-14)] * 3)
    assert "Infinity" not in (tmp_path / "receipt.json").read_text()


@pytest.mark.parametrize("name", ["stylegan2", "r3gan"])
def test_others_are_refused_before_anything_is_drawn(monkeypatch, name):
    monkeypatch.setattr("organza.evaluation.draw", lambda *_: pytest.fail("sampled first"))
    with pytest.raises(ConfigError, match=r"the waves that a generator begins with; stylegan3-t and -r have them"):
        organza.evaluate(tiny(name, shape=(3, 32, 32), **({"widths": (8,) * 4} if name == "r3gan" else {})),
                         metrics="eq-t", samples=4)  # fmt: skip
    images = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    with pytest.raises(ConfigError, match="eq-t asks a generator, and images have none"):
        organza.evaluate(images, metrics="eq-t")
