import numpy as np
import pytest
import torch
from metric_helpers import golden, golden64, some

from organza.config import ConfigError
from organza.metrics import interval, kernel_distance, kernel_influence
from organza.metrics import pairs as pairs_module

GOLDEN = 0.09770004226256468  # full set, unequal n, closed form
SUBSETS = 0.0982667064666748, 0.00761625186560333  # torch-fidelity 0.4.0, in float32


def by_hand(real, fake) -> float:
    d, m, n = real.shape[1], len(real), len(fake)
    rr, ff, rf = ((a @ b.T / d + 1) ** 3 for a, b in ((real, real), (fake, fake), (real, fake)))
    return (rr.sum() - np.trace(rr)) / (m * (m - 1)) + (ff.sum() - np.trace(ff)) / (n * (n - 1)) - 2 * rf.mean()


def test_golden_values_of_all_samples():
    real, fake = golden64()
    assert kernel_distance(real=real, fake=fake) == pytest.approx(GOLDEN, abs=1e-9)
    assert kernel_distance(real=real, fake=fake[:1500]) == pytest.approx(0.09346791402349197, abs=1e-9)
    assert kernel_distance(real=golden()[0], fake=golden()[1]) == pytest.approx(GOLDEN, abs=1e-7)  # float32 products


def test_golden_value_of_subsets():
    """The oracle computes the kernel in float32: it is 1.4e-7 from float64."""
    real, fake = golden()
    found = kernel_distance(real=real, fake=fake, subsets=100)
    assert (found.mean, found.std) == (pytest.approx(SUBSETS[0], abs=1e-6), pytest.approx(SUBSETS[1], abs=1e-6))
    assert (found.subsets, found.subset_size) == (100, 1000)


@pytest.mark.parametrize("subsets", [3, 40])
def test_subsets_are_the_means_of_their_distances(subsets):
    """Few are computed one by one, many from the products of all pairs."""
    real, fake = some(70, 5, 0, 1, 3), some(50, 5, 1, 2)
    random, values = np.random.RandomState(7), []
    for _ in range(subsets):
        chosen = [x[random.choice(len(x), 20, replace=False)] for x in (fake, real)]
        values.append(by_hand(chosen[1], chosen[0]))
    found = kernel_distance(real=real, fake=fake, subsets=subsets, subset_size=20, seed=7)
    assert (found.mean, found.std) == (
        pytest.approx(np.mean(values), rel=1e-11),
        pytest.approx(np.std(values), rel=1e-9),
    )


def test_float32_keeps_six_digits_of_a_small_difference():
    """Kernels of about 3 whose means differ by 1 %: sums in float32 alone would lose one digit more."""
    real, fake = (np.abs(some(1500, 256, seed)) for seed in (0, 1))
    fake *= 1.01
    exact = kernel_distance(
        real=real.astype(np.float32).astype(np.float64), fake=fake.astype(np.float32).astype(np.float64)
    )
    found = kernel_distance(real=real.astype(np.float32), fake=fake.astype(np.float32))
    assert 0 < abs(found / exact - 1) < 1e-5


def test_blocks_change_nothing(monkeypatch):
    real, fake = some(70, 5, 0, 1, 3), some(50, 5, 1, 2)
    monkeypatch.setattr(pairs_module, "BLOCK", 16)
    assert kernel_distance(real=real, fake=fake) == pytest.approx(by_hand(real, fake), rel=1e-12)
    seen = []
    teller = type("Teller", (), {"step": lambda _, *what: seen.append(what), "note": lambda _, text: None})()
    kernel_distance(real=real, fake=fake, progress=teller)
    assert seen[:2] == [("kernel of real and real", done, 5) for done in (4, 5)]
    assert [done == total for _, done, total in seen].count(True) == 3


def test_symmetry_order_and_sign():
    real, fake = some(60, 4), some(45, 4, 1, 1.5)
    distance = kernel_distance(real=real, fake=fake)
    assert kernel_distance(real=fake, fake=real) == pytest.approx(distance, rel=1e-9)
    assert kernel_distance(real=torch.from_numpy(real).flip(0), fake=fake) == pytest.approx(distance, rel=1e-9)
    equal = [kernel_distance(real=some(60, 4, seed), fake=some(60, 4, seed + 100)) for seed in range(30)]
    assert min(equal) < 0 < max(equal)  # unbiased
    assert abs(np.mean(equal)) < 3 * np.std(equal) / 30**0.5


def test_a_large_mean_keeps_float32_exact():
    real, fake = some(300, 16, 0, 1, 10), some(300, 16, 1, 1, 10.2)
    exact = by_hand(real, fake)
    found = kernel_distance(real=real.astype(np.float32), fake=fake.astype(np.float32))
    assert found == pytest.approx(exact, rel=1e-3)


def test_the_influence_is_the_derivative_and_covers():
    real, fake = some(60, 3), some(50, 3, 1, 1.5)
    influence = kernel_influence(real=real, fake=fake)
    d, m, n = 3, 60, 50
    ff, rf = (fake @ fake.T / d + 1) ** 3, (real @ fake.T / d + 1) ** 3
    np.fill_diagonal(ff, 0)
    by_rows = 2 * (ff.sum(1) / (n - 1) - rf.sum(0) / m)
    np.testing.assert_allclose(influence.fake.numpy(), by_rows - by_rows.mean(), rtol=1e-9, atol=1e-9)
    assert influence.samples == (m, n)
    found = interval(influence)
    assert found.low < found.value < found.high


@pytest.mark.parametrize("subsets", [None, 2])
@pytest.mark.parametrize(("scale", "told"), [(1e10, "range of float32"), (1e25, "range of float32")])
def test_features_beyond_the_range_of_their_type_are_refused(scale, told, subsets):
    features = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    with pytest.raises(ConfigError, match=told):
        kernel_distance(real=features * np.float32(scale), fake=features, subsets=subsets, subset_size=20)
    far = kernel_distance(real=features.astype(np.float64) * scale, fake=features.astype(np.float64))
    assert np.isfinite(far)
