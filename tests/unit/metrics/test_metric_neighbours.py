import numpy as np
import pytest
import torch
from metric_helpers import golden, golden64, some
from scipy.spatial.distance import cdist

from organza.config import ConfigError
from organza.metrics import (
    authenticity,
    density_coverage,
    feature_influences,
    feature_scores,
    frechet_distance,
    kernel_distance,
    memorisation_distance,
    memorisation_influence,
    nearest,
    neighbourhood,
    precision_recall,
)
from organza.metrics import pairs as pairs_module


def by_hand(real, fake, k) -> tuple:
    """(precision, recall, density, coverage) from whole matrices."""
    radius = [np.sort(cdist(x, x), 1)[:, k] for x in (real, fake)]  # column 0 is the sample itself
    between = cdist(real, fake)
    strict = between < radius[0][:, None]
    return (
        (between <= radius[0][:, None]).any(0).mean(),
        (between <= radius[1]).any(1).mean(),
        strict.sum(0).mean() / k,
        strict.any(1).mean(),
    )


def ours(real, fake, k) -> tuple:
    pr, dc = precision_recall(real=real, fake=fake, k=k), density_coverage(real=real, fake=fake, k=k)
    return pr.precision, pr.recall, dc.density, dc.coverage


@pytest.mark.parametrize("features", [golden, golden64])
def test_golden_values(features):
    real, fake = features()
    found = precision_recall(real=real, fake=fake)
    assert found.precision == pytest.approx(0.812, abs=1e-12)
    assert found.recall == pytest.approx(616 / 1500, abs=1e-12)
    assert found.f_score == pytest.approx(0.5454656504, abs=1e-8)  # theirs is made of float32
    loose = precision_recall(real=real, fake=fake, k=5)
    assert (loose.precision, loose.recall) == (pytest.approx(0.877, abs=1e-12), pytest.approx(0.51, abs=1e-12))
    three, five = density_coverage(real=real, fake=fake, k=3), density_coverage(real=real, fake=fake)
    assert (three.density, three.coverage) == (pytest.approx(1.9966666667, abs=1e-9), pytest.approx(0.96, abs=1e-12))
    assert (five.density, five.coverage) == (pytest.approx(2.0037, abs=1e-9), pytest.approx(0.992, abs=1e-12))


@pytest.mark.parametrize("block", [7, 1024])
@pytest.mark.parametrize("k", [1, 3, 6])
def test_blocks_and_whole_matrices_agree(monkeypatch, block, k):
    monkeypatch.setattr(pairs_module, "BLOCK", block)
    real, fake = some(60, 3), some(45, 3, 1, 0.8, 0.4)
    assert ours(real, fake, k) == pytest.approx(by_hand(real, fake, k), abs=1e-12)


def test_one_pass_tells_of_subsets_too(monkeypatch):
    monkeypatch.setattr(pairs_module, "BLOCK", 16)
    real, fake = some(60, 3), some(45, 3, 1, 0.8, 0.4)
    found = feature_scores(real=real, fake=fake, subsets=9, subset_size=30).kernel_subsets
    alone = kernel_distance(real=real, fake=fake, subsets=9, subset_size=30)
    assert (found.subsets, found.subset_size) == (9, 30)
    assert (found.mean, found.std) == (pytest.approx(alone.mean, rel=1e-11), pytest.approx(alone.std, rel=1e-9))
    assert feature_scores(real=real, fake=fake).kernel_subsets is None
    with pytest.raises(ConfigError, match="45 samples; this metric needs at least 46"):
        feature_scores(real=real, fake=fake, subsets=9, subset_size=46)


def test_swap_and_order():
    real, fake = some(60, 3), some(45, 3, 1, 0.8, 0.4)
    one, two = precision_recall(real=real, fake=fake), precision_recall(real=fake, fake=real)
    assert (one.precision, one.recall) == (two.recall, two.precision)
    assert one.precision != one.recall
    assert ours(torch.from_numpy(real).flip(0), fake[::-1].copy(), 3) == pytest.approx(ours(real, fake, 3), abs=1e-12)


def test_identical_sets_and_sets_far_away():
    real = some(50, 4).astype(np.float32)
    assert ours(real, real, 3)[:2] == (1.0, 1.0)
    assert ours(real, real, 3)[3] == 1.0
    assert ours(real, real + 100, 3) == (0.0, 0.0, 0.0, 0.0)
    assert precision_recall(real=real, fake=real + 100).f_score == 0


def test_the_border_counts_for_precision_alone():
    """On a line, exact in floats: the radius of every real is 1 at k = 1, and the fake is at a distance of 1."""
    real, fake = np.array([[0.0], [1.0], [8.0], [9.0]]), np.array([[2.0], [2.0]])
    assert precision_recall(real=real, fake=fake, k=1).precision == 1
    assert density_coverage(real=real, fake=fake, k=1).density == 0
    assert density_coverage(real=real, fake=fake, k=1).coverage == 0
    assert precision_recall(real=real, fake=np.array([[2.0], [2.0]]), k=1).recall == 0


@pytest.mark.parametrize("shift", [0, 1000])
def test_copies_have_distance_zero(shift):
    """The radius of a value that is there k + 1 times is 0, and holds a copy (<=), in float32 and far from 0, too."""
    real = np.repeat(some(10, 64, shift=shift).astype(np.float32), 4, 0)
    found = neighbourhood(real=real, fake=real[:8].copy(), k=3)
    assert bool(found.fake_inside.all())
    assert not bool(found.covered.any())
    assert found.real_inside.tolist() == [True] * 8 + [False] * 32
    close = nearest(real=real, fake=real[[4]] + np.float32(0.5), k=1)
    assert int(close.indices) // 4 == 1
    assert float(close.distances) == pytest.approx(4.0, rel=1e-4)  # 0.5 * 64^(1/2)
    assert float(nearest(real=real, fake=real[[4]]).distances) == 0


@pytest.mark.parametrize("shift", [1, 60])
def test_what_is_set_for_training_changes_no_product(shift):
    """The products of a block are float32, with bfloat16 allowed and autocast around it: 1e-6 of |x||y| at most."""
    real, fake = (torch.from_numpy(some(900, 300, seed, shift)).float() for seed in (0, 1))
    one, two = pairs_module.seen_from_their_centre(real, fake)
    exact = one[:].double() @ two[:].double().T
    found = torch.full((900, 900), torch.nan)

    def keep(rows, columns, products):
        found[rows, columns] = products

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            pairs_module.scan(one, two, [keep], "products")
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    sizes = one.squares.sqrt()[:, None] * two.squares.sqrt()
    assert 0 < float(((found - exact).abs() / sizes).max()) < 1e-6


def test_features_whose_squares_vanish_are_refused():
    """In float32 all distances of 1e-25 are 0, and every fake would lie in every ball."""
    real, fake = some(40, 8), some(40, 8, 1) + 3
    with pytest.raises(ConfigError, match="leave the range of float32; multiply both by one number"):
        precision_recall(real=(real * 1e-25).astype(np.float32), fake=(fake * 1e-25).astype(np.float32))
    assert ours(real * 1e-25, fake * 1e-25, 3) == ours(real, fake, 3)
    assert ours((real * 1e-12).astype(np.float32), (fake * 1e-12).astype(np.float32), 3) == ours(real, fake, 3)


def test_collapsed_fakes():
    real, fake = some(200, 16).astype(np.float32), np.ones((150, 16), np.float32)
    found = ours(real, fake, 3)
    assert found == pytest.approx(by_hand(real.astype(float), fake.astype(float), 3), abs=1e-12)
    assert found[1] == 0  # balls of radius 0


def test_nearest_with_blocks(monkeypatch):
    monkeypatch.setattr(pairs_module, "BLOCK", 8)
    real, fake = some(50, 3), some(21, 3, 1)
    found, whole = nearest(real=real, fake=fake, k=10), cdist(fake, real)
    order = np.argsort(whole, 1)[:, :10]
    assert np.array_equal(found.indices.numpy(), order)
    np.testing.assert_allclose(found.distances.numpy(), np.take_along_axis(whole, order, 1), rtol=1e-9)


def test_one_pass_gives_what_the_functions_give():
    real, fake = golden()
    scores, influences = feature_scores(real=real, fake=fake), feature_influences(real=real, fake=fake)
    single = {"frechet_distance": frechet_distance, "kernel_distance": kernel_distance}
    expected = {name: function(real=real, fake=fake) for name, function in single.items()}
    expected |= {"precision": 0.812, "recall": 616 / 1500, "density": 2.0037, "coverage": 0.992}
    for name, value in expected.items():
        assert getattr(scores, name) == pytest.approx(value, abs=1e-9), name
        assert influences[name].value == pytest.approx(value, abs=1e-9), name
    for name in ("precision", "recall", "density", "coverage"):
        assert (influences[name].real.shape, influences[name].fake.shape) == ((1500,), (2000,))


def test_what_a_sample_has_to_itself_is_lost_without_it(monkeypatch):
    """With the other balls as they are: by all distances, in blocks."""
    monkeypatch.setattr(pairs_module, "BLOCK", 16)
    real, fake = some(60, 3), some(50, 3, 1, 1.3)
    found, k = neighbourhood(real=real, fake=fake, k=2), 2
    within, fakes_within, between = cdist(real, real), cdist(fake, fake), cdist(fake, real)
    radii, of_fakes = np.sort(within, 1)[:, k], np.sort(fakes_within, 1)[:, k]
    for near, alone in (
        (between <= radii, found.real_alone), (of_fakes >= between.T, found.fake_alone),
        ((between < radii).T, found.fake_alone_in),
    ):  # fmt: skip
        lost = [near.any(1).sum() - np.delete(near, i, 1).any(1).sum() for i in range(near.shape[1])]
        assert alone.tolist() == lost
        assert sum(lost) > 0
    assert (found.held * k).tolist() == (between < radii).sum(0).tolist()
    assert found.balls.mean() * 50 == pytest.approx(found.held.mean() * 60)
    for name, influence in feature_influences(real=real, fake=fake, k_precision=k, k_density=k).items():
        assert influence.real.mean() == pytest.approx(0, abs=1e-9), name


def test_authenticity():
    real = some(400, 3)
    assert authenticity(real=real, fake=real + 1e-6) == 0
    assert authenticity(real=real, fake=real + 100) == 1
    new = authenticity(real=real, fake=some(400, 3, 1))
    whole, within = cdist(some(400, 3, 1), real), cdist(real, real) + np.diag([np.inf] * 400)
    assert new == np.mean(whole.min(1) > within.min(1)[whole.argmin(1)])
    assert 0.3 < new < 0.7


def test_memorisation_distance():
    real, fake = golden()
    found = memorisation_distance(real=real, fake=fake)
    directions = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in golden64()]
    cosine = (1 - np.abs(directions[1] @ directions[0].T).max(1)).mean()
    assert found.cosine_distance == pytest.approx(cosine, abs=1e-6)
    assert cosine > 0.1
    assert found.value == found.frechet
    assert found.frechet == pytest.approx(1.11947212363836, abs=1e-9)
    noisy = real + np.random.RandomState(0).randn(*real.shape).astype(np.float32) * 0.05
    copied = memorisation_distance(real=real, fake=noisy)
    assert copied.cosine_distance < 0.1
    assert copied.value == pytest.approx(copied.frechet / copied.cosine_distance, rel=1e-12)
    assert copied.value > copied.frechet
    empty = memorisation_distance(real=real, fake=np.zeros_like(fake))
    assert empty.value == empty.frechet


def penalised_by_hand(real, fake, weights) -> float:
    """MiFID of near copies whose samples have weights, by the nuclear norm."""
    shares = weights / weights.sum()
    gap = shares @ fake - real.mean(0)
    one = (real - real.mean(0)) / (len(real) - 1) ** 0.5
    two = np.sqrt(shares * len(fake) / (len(fake) - 1))[:, None] * (fake - shares @ fake)
    plain = gap @ gap + np.square(one).sum() + np.square(two).sum() - 2 * np.linalg.norm(one @ two.T, "nuc")
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (fake, real))
    return plain / (shares @ (1 - np.abs(a @ b.T).max(1)))


def test_the_influence_of_memorisation_is_its_derivative():
    real = some(80, 4, shift=2.0)
    fake = real[:40] + 0.05 * some(40, 4, 1)
    found, influence = memorisation_influence(real=real, fake=fake)
    alone = memorisation_distance(real=real, fake=fake)
    assert (found.value, found.frechet) == pytest.approx((alone.value, alone.frechet), rel=1e-12)
    assert found.cosine_distance == alone.cosine_distance
    assert found.value > found.frechet
    assert found.value == pytest.approx(penalised_by_hand(real, fake, np.ones(40)), rel=1e-5)
    step = 1e-5
    for i in range(4):
        ends = [penalised_by_hand(real, fake, np.ones(40) + sign * 40 * step * np.eye(40)[i]) for sign in (1, -1)]
        assert float(influence.fake[i]) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-3, abs=0.01)
    assert float(influence.fake.mean()) == pytest.approx(0, abs=1e-9 * found.value)
    far = memorisation_influence(real=real, fake=some(40, 4, 1))
    assert far[1].value == far[0].frechet
    same = memorisation_influence(real=real, fake=np.concatenate([real, real[:9]]))
    assert same[0].value == same[1].value
