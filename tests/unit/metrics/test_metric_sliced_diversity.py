import numpy as np
import pytest
import torch
from metric_helpers import golden, some
from scipy.spatial.distance import pdist
from scipy.stats import wasserstein_distance

from organza.config import ConfigError
from organza.metrics import mean_pairwise_distance, monge_distance, ms_ssim, ms_ssim_diversity, sliced_distance
from organza.metrics import pairs as pairs_module
from organza.metrics.sliced import _steps


def test_on_a_line_it_is_the_distance_of_quantiles():
    one, two = some(6, 1), some(4, 1, 1)
    whole = [np.sort(np.repeat(x, times, 0), 0) for x, times in ((one, 2), (two, 3))]
    expected = np.sqrt(np.square(whole[0] - whole[1]).mean())
    assert sliced_distance(real=one, fake=two, directions=3) == pytest.approx(expected, rel=1e-12)


def test_pieces_of_the_quantiles_against_scipy():
    one, two = np.sort(some(17, 1)[:, 0]), np.sort(some(12, 1, 1)[:, 0])
    lengths, rows, columns = (part.numpy() for part in _steps(17, 12, torch.device("cpu")))
    assert lengths.sum() == pytest.approx(1, abs=1e-12)
    expected = wasserstein_distance(one, two)
    assert (lengths * np.abs(one[rows] - two[columns])).sum() == pytest.approx(expected, rel=1e-9)


def test_shift_symmetry_order_and_zero():
    real, fake = some(50, 6), some(35, 6, 1, 2)
    assert sliced_distance(real=real, fake=real[::-1].copy()) == pytest.approx(0, abs=1e-12)
    moved = sliced_distance(real=real, fake=real + 0.5, directions=4000)
    assert moved == pytest.approx(0.5, rel=0.03)  # |s| / D^(1/2)
    distance = sliced_distance(real=real, fake=fake)
    assert sliced_distance(real=fake, fake=real[::-1].copy()) == pytest.approx(distance, rel=1e-12)
    assert sliced_distance(real=real, fake=fake, seed=1) != distance
    assert sliced_distance(real=real, fake=fake, seed=1) == pytest.approx(distance, rel=0.1)


@pytest.mark.parametrize("block", [8, 1024])
def test_mean_distance_of_pairs(monkeypatch, block):
    monkeypatch.setattr(pairs_module, "BLOCK", block)
    features = some(37, 5, shift=20)
    assert mean_pairwise_distance(features) == pytest.approx(pdist(features).mean(), rel=1e-11)
    assert mean_pairwise_distance(np.ones((9, 3), np.float32)) == 0


def images(n, side, seed=0, channels=3):
    random = torch.Generator().manual_seed(seed)
    return torch.rand(n, channels, side, side, generator=random)


def test_similarity_of_equal_and_unlike_images():
    x = images(3, 44)
    torch.testing.assert_close(ms_ssim(x, x), torch.ones(3))
    assert ms_ssim(x, images(3, 44, 1)).max() < 0.2
    levels = [float(ms_ssim(x, (x + s * torch.randn_like(x)).clamp(0, 1)).mean()) for s in (0.02, 0.1, 0.3)]
    assert 1 > levels[0] > levels[1] > levels[2] > 0
    bytes_ = (x * 255).round().byte()
    torch.testing.assert_close(ms_ssim(bytes_, bytes_.flip(3)), ms_ssim(bytes_ / 255, bytes_.flip(3) / 255))


def test_one_scale_by_hand():
    """11 x 11 pixels are one window: weighted moments in NumPy."""
    x, y = images(1, 11, 0, 1), images(1, 11, 1, 1) * 0.5 + 0.2
    line = np.exp(-np.square(np.arange(11) - 5) / (2 * 1.5**2))
    weights = np.outer(line, line) / np.outer(line, line).sum()
    a, b = x[0, 0].numpy().astype(float), y[0, 0].numpy().astype(float)
    mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
    var_a, var_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
    both = (weights * (a - mean_a) * (b - mean_b)).sum()
    expected = (2 * mean_a * mean_b + 1e-4) * (2 * both + 9e-4)
    expected /= (mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4)
    assert float(ms_ssim(x, y)) == pytest.approx(max(expected, 0), abs=1e-5)
    z = 0.5 * x + 0.1
    assert 0.3 < float(ms_ssim(x, z)) < 1


def test_repeated_images_have_no_diversity():
    x = images(1, 28, 0, 1)
    assert ms_ssim_diversity(x.repeat(9, 1, 1, 1), pairs=70) == pytest.approx(1, abs=1e-5)
    many = images(9, 28, 0, 1)
    found = ms_ssim_diversity(many, pairs=70)
    assert 0 <= found < 0.3  # and no image meets itself
    assert found == ms_ssim_diversity(many, pairs=70)
    for wrong in (images(3, 10), torch.zeros(3, 28, 28), images(3, 28) * 2 - 1):
        with pytest.raises(ConfigError, match=r"shape|values from"):
            ms_ssim_diversity(wrong)


def test_the_golden_value_of_mind():
    """torch-fidelity's is a float32."""
    real, fake = golden()
    found = monge_distance(real=real, fake=fake)
    assert found == pytest.approx(2.1745426654815674, abs=1e-6)
    assert abs(monge_distance(real=real, fake=fake, seed=0) - found) > 1e-3
    assert monge_distance(real=fake, fake=real) == pytest.approx(found, rel=1e-12)


def test_mind_of_a_shift_and_of_equal_sets():
    real = some(400, 8)
    assert monge_distance(real=real, fake=real[::-1].copy()) == pytest.approx(0, abs=1e-20)
    assert monge_distance(real=real, fake=real + 0.5) == pytest.approx(3 * 8 * 0.25, rel=0.1)
    sliced = sliced_distance(real=real, fake=2 * real, directions=4000)
    assert monge_distance(real=real, fake=2 * real) == pytest.approx(24 * sliced**2, rel=0.05)
