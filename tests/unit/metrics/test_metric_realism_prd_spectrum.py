"""What the pictures of a report are made of: realism, gaps, precision over recall, the spectrum."""

import math

import numpy as np
import pytest
import torch
from metric_helpers import some
from scipy.spatial.distance import cdist

from organza.config import ConfigError
from organza.metrics import neighbourhood, pairs, precision_recall, precision_recall_curve, radial_spectrum, realism
from organza.metrics.prd import k_means
from organza.metrics.spectrum import power


def realism_by_hand(real, fake, k, kept):
    radii = np.sort(cdist(real, real), 1)[:, k]
    small = radii <= np.sort(radii)[math.ceil(kept * len(radii)) - 1]
    return (radii[small] / cdist(fake, real[small])).max(1)


@pytest.mark.parametrize("block", [7, 1024])
@pytest.mark.parametrize(("k", "kept"), [(1, 1.0), (3, 0.5), (5, 0.31)])
def test_realism_is_that_of_whole_matrices(monkeypatch, block, k, kept):
    monkeypatch.setattr(pairs, "BLOCK", block)
    real, fake = some(60, 3), some(45, 3, 1, 0.8, 0.4)
    found = realism(real=real, fake=fake, k=k, kept=kept).numpy()
    assert found == pytest.approx(realism_by_hand(real, fake, k, kept), rel=1e-9)


def test_realism_of_one_and_more_is_precision():
    real, fake = some(60, 3), 2 * some(45, 3, 1)
    found = realism(real=real, fake=fake, kept=1.0)
    assert float((found >= 1).double().mean()) == precision_recall(real=real, fake=fake).precision
    assert 0 < float((found >= 1).double().mean()) < 1


def test_a_fake_that_equals_a_real_is_real_and_one_far_away_is_not():
    real = some(60, 3).astype(np.float32)
    assert (realism(real=real, fake=real, kept=1.0) >= 1).all()
    radii = np.sort(cdist(real, real), 1)[:, 3]
    dense = real[radii <= np.median(radii)]
    assert realism(real=real, fake=dense).isinf().all()
    assert (realism(real=real, fake=real + 1000) < 0.01).all()


def test_realism_of_reals_that_are_there_often():
    """Balls without a radius: on the border when hit, worth nothing otherwise."""
    real = np.zeros((8, 2))
    found = realism(real=real, fake=np.array([[0.0, 0.0], [1.0, 0.0]]))
    assert found.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("kept", [0.0, 1.1, -1])
def test_realism_refuses_what_has_no_meaning(kept):
    with pytest.raises(ConfigError, match="kept is"):
        realism(real=some(9, 2), fake=some(9, 2), kept=kept)


def test_gaps_tell_how_lonely_a_real_is():
    real, fake = some(60, 3), some(45, 3, 1, 0.8, 0.4)
    found = neighbourhood(real=real, fake=fake, k=5)
    by_hand = cdist(real, fake).min(1) / np.sort(cdist(real, real), 1)[:, 5]
    assert found.gaps.numpy() == pytest.approx(by_hand, rel=1e-9)
    assert ((found.gaps < 1) == found.covered).all()
    same = neighbourhood(real=np.zeros((8, 2)), fake=np.zeros((8, 2)), k=5)
    assert same.gaps.tolist() == [1.0] * 8
    assert not same.covered.any()


# Precision over recall


def clouds(counts, seed=0):
    """Points in far clouds, so many in each."""
    random = np.random.RandomState(seed)
    return np.concatenate([10 * i + 0.1 * random.randn(count, 2) for i, count in enumerate(counts)])


def at_once(curve):
    return float(torch.minimum(curve.precision, curve.recall).max())


def test_equal_sets_reach_the_corner_and_strange_ones_nothing():
    real = some(200, 3)
    assert at_once(precision_recall_curve(real=real, fake=real)) == pytest.approx(1)
    assert at_once(precision_recall_curve(real=real, fake=real + 1000)) == 0
    assert at_once(precision_recall_curve(real=real, fake=some(200, 3, 7, 1, 0))) > 0.8


def test_a_lost_cloud_costs_recall_and_a_strange_one_precision():
    all_, some_ = clouds([100] * 4), clouds([100] * 2)
    lost = precision_recall_curve(real=all_, fake=some_, clusters=4)
    assert (float(lost.precision.max()), float(lost.recall.max())) == (pytest.approx(1, abs=1e-4), pytest.approx(0.5))
    strange = precision_recall_curve(real=some_, fake=all_, clusters=4)
    assert (float(strange.precision.max()), float(strange.recall.max())) == (
        pytest.approx(0.5), pytest.approx(1, abs=1e-4)
    )  # fmt: skip


def test_the_curve_is_that_of_the_shares():
    """p = (3/4, 1/4), q = (1/4, 3/4): at lambda = 1 both are the overlap, one half."""
    curve = precision_recall_curve(real=clouds([75, 25]), fake=clouds([25, 75], 1), clusters=2)
    assert float(curve.precision[100]) == pytest.approx(0.5, abs=1e-6)
    assert float(curve.recall[100]) == pytest.approx(0.5, abs=1e-6)
    assert (curve.precision.diff() >= -1e-12).all()
    assert (curve.recall.diff() <= 1e-12).all()


def test_a_seed_decides_the_curve():
    real, fake = some(80, 3), some(80, 3, 1)
    one, two = (precision_recall_curve(real=real, fake=fake) for _ in range(2))
    other = precision_recall_curve(real=real, fake=fake, seed=1)
    assert torch.equal(one.precision, two.precision)
    assert not torch.equal(one.precision, other.precision)


def test_clusters_are_the_clouds():
    points = torch.from_numpy(clouds([30, 20, 10]))
    found = k_means(points, 3, torch.Generator().manual_seed(0))
    assert sorted(torch.bincount(found).tolist()) == [10, 20, 30]
    assert all(len(set(part.tolist())) == 1 for part in found.split([30, 20, 10]))
    assert k_means(torch.zeros(9, 2), 3, torch.Generator().manual_seed(0)).tolist() == [0] * 9


def test_too_few_samples_for_the_clusters():
    with pytest.raises(ConfigError, match="at least 20"):
        precision_recall_curve(real=some(19, 2), fake=some(40, 2))


# The spectrum


def test_white_noise_is_flat():
    random = torch.Generator().manual_seed(0)
    noise = 3 * torch.randn(400, 2, 32, 24, generator=random)
    frequencies, found = radial_spectrum(noise)
    assert float(frequencies[0]) == pytest.approx(1 / 24)
    assert float(frequencies[-1]) == pytest.approx(math.sqrt(0.5), abs=0.03)
    assert found[:-1].numpy() == pytest.approx(9, rel=0.04)
    assert float(found[-1]) == pytest.approx(9, rel=0.2)  # the corner alone


@pytest.mark.parametrize("side", [15, 16])
def test_power_is_that_of_the_whole_transform(side):
    images = torch.randn(5, 3, side, side, generator=torch.Generator().manual_seed(0))
    whole = torch.fft.fft2(images - images.mean((2, 3), keepdim=True)).abs().square().mean((0, 1)) / side**2
    assert power(images).numpy() == pytest.approx(whole[:, : side // 2 + 1].numpy(), rel=1e-4, abs=1e-6)
    frequency = torch.fft.fftfreq(side, dtype=torch.float64)
    ring = (torch.hypot(frequency[:, None], frequency) * side).round()
    expected = [float(whole[ring == r].mean()) for r in ring.unique().tolist() if r]
    assert radial_spectrum(images)[1].numpy() == pytest.approx(expected, rel=1e-4)


def test_a_wave_is_a_peak_at_its_frequency():
    wave = torch.sin(2 * torch.pi * 5 * torch.arange(32) / 32).expand(1, 1, 32, 32)
    frequencies, found = radial_spectrum(wave)
    assert float(frequencies[found.argmax()]) == pytest.approx(5 / 32)
    assert float(found.max()) > 1000 * float(found.sort().values[-2])
    board = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(16, 16)[None, None]
    frequencies, found = radial_spectrum(board)
    assert float(frequencies[found.argmax()]) == pytest.approx(math.sqrt(0.5), abs=0.02)


@pytest.mark.parametrize("shape", [(3, 16, 16), (0, 3, 16, 16), (4, 3, 3, 16), (9, 2)])
def test_a_spectrum_is_of_images(shape):
    with pytest.raises(ConfigError, match="a spectrum is of images"):
        radial_spectrum(torch.zeros(shape))
