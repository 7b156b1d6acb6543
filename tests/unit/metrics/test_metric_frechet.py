import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_helpers import golden, some
from scipy import linalg

from organza.metrics import FeatureStats, frechet_distance, frechet_infinity, frechet_influence
from organza.metrics.frechet import _factor, _of_few, _of_moments, _sandwich

GOLDEN = 1.11947212363836


def test_published_values_of_other_libraries():
    """What torch-fidelity 0.4.0 (its mean is float32) and torchmetrics 1.9.0 (its result is) say of these features."""
    real, fake = golden()
    found = frechet_distance(real=real, fake=fake)
    assert found == pytest.approx(1.1194728820590214, rel=7e-7)
    assert found == pytest.approx(1.1194721460342407, rel=6e-8)


def by_scipy(real, fake) -> float:
    root = linalg.sqrtm(np.cov(real.T) @ np.cov(fake.T))
    gap = real.mean(0) - fake.mean(0)
    return float(gap @ gap + np.trace(np.cov(real.T)) + np.trace(np.cov(fake.T)) - 2 * np.trace(root).real)


def test_golden_value_of_arrays_tensors_and_statistics():
    real, fake = golden()
    kinds = (np.asarray, torch.from_numpy, FeatureStats.of)
    for one in kinds:
        for two in kinds:
            assert frechet_distance(real=one(real), fake=two(fake)) == pytest.approx(GOLDEN, abs=1e-9)
    small, influence = real[:60] * 1.0, frechet_influence(real=real, fake=fake)
    assert influence.value == pytest.approx(GOLDEN, abs=1e-9)
    assert abs(frechet_distance(real=small, fake=fake) - GOLDEN) > 0.1


@pytest.mark.parametrize(("m", "n", "d"), [(50, 40, 8), (9, 7, 30), (20, 30, 24), (9, 200, 30), (2, 2, 5)])
def test_both_ways_and_scipy_agree(m, n, d):
    real, fake = some(m, d, 1), some(n, d, 2, 1.5, 0.3)
    one, two = torch.from_numpy(real), torch.from_numpy(fake)
    few, moments = _of_few(one, two), _of_moments(FeatureStats.of(real), FeatureStats.of(fake))
    assert few == pytest.approx(moments, rel=2e-7)  # of singular matrices roots of rounding errors stay
    assert frechet_distance(real=real, fake=fake) in (few, moments)
    if min(m, n) > d:
        assert few == pytest.approx(moments, rel=1e-11)
        assert few == pytest.approx(by_scipy(real, fake), rel=1e-9)


@pytest.mark.parametrize("panel", [3, 256])
def test_panels_and_triangles_change_nothing(monkeypatch, panel):
    """Of a full and of a singular covariance; the lower half is that of the whole product."""
    monkeypatch.setattr("organza.metrics.frechet.PANEL", panel)
    monkeypatch.setattr("organza.metrics.stats.PANEL", panel)
    real, fake = some(40, 8, 1), some(50, 8, 2, 1.5, 0.3)
    for one in (real, np.concatenate([real[:, :5], real[:, :3]], 1)):
        cov = FeatureStats.of(one).cov()
        np.testing.assert_allclose(cov.numpy(), np.cov(one.T), rtol=1e-12, atol=1e-12)
        factor, other = _factor(cov), torch.from_numpy(np.cov(fake.T))
        assert torch.equal(factor, factor.tril())
        np.testing.assert_allclose((factor @ factor.T).numpy(), cov.numpy(), atol=1e-12)
        whole = factor.T @ other @ factor
        torch.testing.assert_close(_sandwich(factor, other.clone()).tril(), whole.tril(), rtol=1e-11, atol=1e-11)


def test_statistics_outlive_a_distance():
    one, two = FeatureStats.of(some(60, 5)), FeatureStats.of(some(60, 5, 1, 2))
    before = one.cov(), two.cov()
    first = frechet_distance(real=one, fake=two)
    assert frechet_distance(real=one, fake=two) == first
    assert torch.equal(one.cov(), before[0])
    assert torch.equal(two.cov(), before[1])


def test_dead_features_and_constant_sets():
    """A covariance that Cholesky refuses."""
    real, fake = some(300, 6), some(200, 6, 1)
    alive = frechet_distance(real=real, fake=fake)
    wide = [np.concatenate([x, np.zeros((len(x), 3)), x[:, :1] * 0 + 4], 1) for x in (real, fake)]
    assert frechet_distance(real=wide[0], fake=wide[1]) == pytest.approx(alive, rel=1e-7)
    collapsed = np.full((200, 6), 0.5)
    expected = np.square(real.mean(0) - 0.5).sum() + np.trace(np.cov(real.T))
    assert frechet_distance(real=real, fake=collapsed) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(real=collapsed, fake=collapsed) == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.floats(-50, 50), st.floats(0.1, 9))
def test_properties(seed, d, shift, scale):
    real, fake = some(40, d, seed), some(60, d, seed + 1, scale, shift)
    distance = frechet_distance(real=real, fake=fake)
    near = {"rel": 1e-9, "abs": 1e-9}
    assert frechet_distance(real=fake, fake=real) == pytest.approx(distance, **near)
    order = np.random.RandomState(seed).permutation(60)
    assert frechet_distance(real=real, fake=fake[order]) == pytest.approx(distance, **near)
    stream = FeatureStats()
    for part in np.array_split(fake, 7):
        stream.update(part)
    assert frechet_distance(real=real, fake=stream) == pytest.approx(distance, **near)
    moved = real + shift  # equal covariances
    assert frechet_distance(real=real, fake=moved) == pytest.approx(d * shift**2, rel=1e-9, abs=1e-7)
    assert 0 <= frechet_distance(real=real, fake=real[::-1].copy()) < 1e-7


def test_two_gaussians_on_a_line():
    one, two = some(500, 1), some(400, 1, 1, 3, 2)
    expected = (one.mean() - two.mean()) ** 2 + (one.std(ddof=1) - two.std(ddof=1)) ** 2
    assert frechet_distance(real=one, fake=two) == pytest.approx(expected, rel=1e-12)


def of_weighted(real, fake, weights_real, weights_fake) -> float:
    """By the nuclear norm, of samples with weights of mean 1."""
    means, roots = [], []
    for x, weights in ((real, weights_real), (fake, weights_fake)):
        shares = weights / weights.sum()
        means.append(shares @ x)
        roots.append(np.sqrt(shares * len(x) / (len(x) - 1))[:, None] * (x - means[-1]))
    cross = np.linalg.norm(roots[0] @ roots[1].T, "nuc")
    return np.square(means[0] - means[1]).sum() + np.square(roots[0]).sum() + np.square(roots[1]).sum() - 2 * cross


@pytest.mark.parametrize(("m", "n", "d"), [(60, 50, 5), (12, 10, 30), (8, 80, 12)])
def test_the_influence_is_the_derivative(m, n, d):
    real, fake = some(m, d, 1), some(n, d, 2, 1.4, 0.5)
    influence, step = frechet_influence(real=real, fake=fake), 1e-5
    assert of_weighted(real, fake, np.ones(m), np.ones(n)) == pytest.approx(influence.value, rel=2e-7)
    for side, parts in enumerate((influence.real, influence.fake)):
        for i in (0, 3, 7):
            moved = []
            for sign in (1, -1):
                weights = [np.ones(m), np.ones(n)]
                weights[side][i] += sign * step * len(weights[side])
                moved.append(of_weighted(real, fake, *weights))
            slope = (moved[0] - moved[1]) / (2 * step)
            assert float(parts[i]) == pytest.approx(slope, rel=1e-5, abs=1e-4)
        assert float(parts.mean()) == pytest.approx(0, abs=1e-9)


def test_influence_with_statistics_alone():
    real, fake = some(70, 4), some(50, 4, 1, 2)
    whole, part = frechet_influence(real=real, fake=fake), frechet_influence(real=FeatureStats.of(real), fake=fake)
    assert part.real is None
    assert part.value == pytest.approx(whole.value, rel=1e-12)
    torch.testing.assert_close(part.fake, whole.fake)


def test_extrapolation_removes_the_bias():
    real = some(20_000, 12)
    found = [frechet_infinity(real=real, fake=some(500, 12, seed), points=8) for seed in range(1, 7)]
    plain = [one.distances[-1] for one in found]
    assert np.mean(plain) > 0.1
    assert abs(np.mean([one.value for one in found])) < 0.25 * np.mean(plain)
    assert all(one.low < one.value < one.high and one.slope > 0 for one in found)
    assert found[0].sizes[0] == 50
    assert found[0].sizes[-1] == 500
    assert found[0].distances[-1] == pytest.approx(frechet_distance(real=real, fake=some(500, 12, 1)), rel=1e-9)


def test_extrapolation_is_seeded():
    real, fake = some(100, 3), some(200, 3, 1)
    one, two, three = (frechet_infinity(real=real, fake=fake, points=5, seed=seed) for seed in (0, 0, 1))
    assert one == two
    assert one.value != three.value
    stats = frechet_infinity(real=FeatureStats.of(real), fake=fake, points=5)
    assert stats.value == pytest.approx(one.value, rel=1e-9)
    assert stats.high - stats.low < one.high - one.low  # the reals count as fixed
