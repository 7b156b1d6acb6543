import numpy as np
import pytest
import torch
from metric_helpers import golden
from scipy import linalg

from organza.data.synthetic import grid_modes, ring_modes
from organza.metrics.frechet import frechet_distance
from organza.metrics.modes import mode_coverage

GOLDEN = 1.11947212363836  # reference/metrics.md, section 4: all in float64


@pytest.fixture(scope="module")
def features():
    return tuple(torch.from_numpy(side) for side in golden())


def by_scipy(real, fake) -> float:
    one, two = real.double().numpy(), fake.double().numpy()
    root = linalg.sqrtm(np.cov(one.T) @ np.cov(two.T))
    gap = one.mean(0) - two.mean(0)
    return float(gap @ gap + np.trace(np.cov(one.T)) + np.trace(np.cov(two.T)) - 2 * np.trace(root).real)


def test_golden_value(features):
    real, fake = features
    assert frechet_distance(real=real, fake=fake) == pytest.approx(GOLDEN, abs=1e-9)


def test_scipy_agrees(features):
    real, fake = features
    assert frechet_distance(real=real, fake=fake) == pytest.approx(by_scipy(real, fake), abs=1e-9)
    few = real[:200, :16] * 3 + 1
    assert frechet_distance(real=few, fake=fake[:, :16]) == pytest.approx(by_scipy(few, fake[:, :16]), rel=1e-9)


def test_symmetry_and_identity(features):
    real, fake = features
    assert frechet_distance(real=real, fake=fake) == pytest.approx(frechet_distance(real=fake, fake=real), abs=1e-9)
    assert 0 <= frechet_distance(real=real, fake=real.clone()) < 1e-8
    assert frechet_distance(real=real, fake=real[torch.randperm(len(real))]) < 1e-8


def test_a_shift_is_its_square(features):
    real, _ = features
    assert frechet_distance(real=real, fake=real.double() + 0.5) == pytest.approx(64 * 0.25, abs=1e-6)


def test_two_gaussians_on_a_line():
    one, two = torch.randn(500, 1).double(), 3 * torch.randn(400, 1).double() + 2
    expected = (one.mean() - two.mean()) ** 2 + (one.std() - two.std()) ** 2
    assert frechet_distance(real=one[:, [0, 0]], fake=two[:, [0, 0]]) == pytest.approx(2 * expected.item(), rel=1e-6)


def test_fewer_samples_than_dimensions(features):
    real, fake = features
    value = frechet_distance(real=real[:20], fake=fake[:30])
    assert value == pytest.approx(by_scipy(real[:20], fake[:30]), rel=1e-3)
    assert np.isfinite(value)


def test_modes_of_perfect_samples():
    for centres, sigma in ((ring_modes(), 0.02), (grid_modes(), 0.05)):
        torch.manual_seed(0)
        centres = torch.from_numpy(centres)
        samples = centres.repeat(200, 1) + sigma * torch.randn(200 * len(centres), 2)
        modes, share = mode_coverage(samples.float(), centres, sigma)
        assert modes == len(centres)
        assert 0.98 < share < 0.995  # within 3 sigma in the plane: 1 - exp(-4.5) = 0.9889


def test_modes_of_known_samples():
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    assert mode_coverage(centres[:1].repeat(5, 1), centres, 1.0) == (1, 1.0)
    assert mode_coverage(centres, centres, 1.0) == (3, 1.0)
    assert mode_coverage(torch.full((4, 2), 5.0), centres, 1.0) == (0, 0.0)
    edge = torch.tensor([[3.0, 0.0], [3.001, 0.0], [10.0, 2.9], [0.0, 6.9]])
    assert mode_coverage(edge, centres, 1.0) == (2, 0.5)
    assert mode_coverage(torch.full((4, 2), torch.nan), centres, 1.0) == (0, 0.0)
