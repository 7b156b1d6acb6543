import math

import pytest
import torch
from torch.nn import functional as F

from organza.config import ConfigError
from organza.data import open_dataset
from organza.metrics.influence import Influence
from organza.metrics.modes import count_modes, stacked_labels, stacked_modes
from organza.metrics.quick import GeneralScore, StackedScore, quick_score


@pytest.fixture(scope="module")
def stacked():
    return open_dataset("stacked-mnist", split="test")


def test_counts_are_exact():
    everything = count_modes(torch.arange(1000).repeat(26))
    assert (everything.modes, everything.samples) == (1000, 26_000)
    assert everything.reverse_kl == pytest.approx(0, abs=1e-12)
    single = count_modes(torch.full((500,), 7))
    assert single.modes == 1
    assert single.reverse_kl == pytest.approx(math.log(1000), abs=1e-12)
    half = count_modes(torch.arange(500).repeat(3))
    assert half.modes == 500
    assert half.reverse_kl == pytest.approx(math.log(2), abs=1e-12)


def test_the_samples_stand_first():
    """Of 4 samples 3 show one mode and 1 another: sum p ln(p / q), q = 1 / 1000, by hand; KL(q || p) is infinite."""
    found = count_modes(torch.tensor([999, 999, 0, 999]))
    assert found.modes == 2
    assert found.reverse_kl == pytest.approx(0.75 * math.log(750) + 0.25 * math.log(250), abs=1e-12)


def test_chance_costs_what_the_docstring_says():
    labels = torch.randint(0, 1000, (26_000,), generator=torch.Generator().manual_seed(0))
    assert count_modes(labels).reverse_kl == pytest.approx(999 / 52_000, rel=0.1)
    assert count_modes(labels[:5_000]).reverse_kl == pytest.approx(0.1, rel=0.15)
    assert 985 < count_modes(labels[:5_000]).modes < 1000


def test_real_digits_are_read_in_the_order_red_green_blue(stacked):
    read = stacked_labels(stacked.images[:300])
    assert 0.97 < (read == stacked.labels[:300]).double().mean() <= 1
    backwards = stacked_labels(stacked.images[:300].flip(1))
    assert torch.equal(backwards, read % 10 * 100 + read // 10 % 10 * 10 + read // 100)


def test_the_centre_of_padded_digits_is_read(stacked):
    images = stacked.images[:60]
    assert torch.equal(stacked_labels(F.pad(images, (2, 2, 2, 2))), stacked_labels(images))
    noisy = torch.full((60, 3, 32, 32), 255, dtype=torch.uint8)
    noisy[:, :, 2:30, 2:30] = images
    assert torch.equal(stacked_labels(noisy), stacked_labels(images))


def test_the_floor_and_a_collapse(stacked):
    real = stacked_modes(stacked.images[:600])
    known = count_modes(stacked.labels[:600])
    assert abs(real.modes - known.modes) < 20
    assert real.reverse_kl == pytest.approx(known.reverse_kl, abs=0.03)
    assert 0.5 < real.reverse_kl < 1  # 600 samples are far too few for 1000 modes
    collapsed = stacked_modes(stacked.images[:10].repeat(10, 1, 1, 1))
    assert 2 <= collapsed.modes <= 10
    assert math.log(1000 / 10) - 1e-9 <= collapsed.reverse_kl < math.log(1000)


def test_other_samples_are_refused(stacked):
    for images in (stacked.images[:2].float(), stacked.images[:2, :1], F.pad(stacked.images[:2], (1, 1, 1, 1))):
        with pytest.raises(ConfigError, match="3x28x28 or 3x32x32"):
            stacked_modes(images)


def test_the_quick_score_of_stacked_digits(stacked):
    score = quick_score(stacked)
    assert isinstance(score, StackedScore)
    values = score.of(stacked.images[:100])
    assert set(values) == {"modes-5k", "reverse-kl-5k"}
    assert values["modes-5k"] == stacked_modes(stacked.images[:100]).modes
    name, better = score.headline
    assert better == 1
    found = values[name]
    assert isinstance(found, Influence)
    assert found.value == pytest.approx(stacked_modes(stacked.images[:100]).reverse_kl, abs=1e-12)
    assert found.fake.mean().abs() < 1e-12
    assert isinstance(quick_score(open_dataset("stacked-mnist", split="test", resolution=32)), StackedScore)
    for other in ({"resolution": 16}, {"channels": "grey"}):
        assert isinstance(quick_score(open_dataset("stacked-mnist", split="test", **other)), GeneralScore)
