import functools

import numpy as np
import pytest
import torch
from metric_helpers import some

from organza.config import ConfigError
from organza.metrics import (
    FeatureStats,
    Influence,
    bootstrap,
    compare,
    feature_influences,
    frechet_distance,
    frechet_influence,
    interval,
    kernel_influence,
    noise_floor,
    paired_test,
    sliced_distance,
)

sliced = functools.partial(sliced_distance, directions=8)


def width(found) -> float:
    return found.high - found.low


@pytest.mark.parametrize("few", [False, True])
def test_one_evaluation_is_worth_a_bootstrap(few):
    m, n, d = (30, 25, 40) if few else (400, 300, 4)
    real, fake = some(m, d), some(n, d, 1, 1.3, 0.5)
    fast = interval(frechet_influence(real=real, fake=fake), replicates=4000)
    slow = bootstrap(frechet_distance, real=real, fake=fake, replicates=150)
    assert fast.value == slow.value
    assert (fast.real, fast.fake, fast.replicates) == (m, n, 4000)
    assert 0.65 < width(fast) / width(slow) < 1.5
    assert slow.low < slow.value < slow.high


def test_the_interval_of_the_distance_holds_its_expectation():
    """Of 60 intervals of 95 %, at least 51: by chance less than once in 1000."""
    draws = [(some(300, 3, 2 * s), some(200, 3, 2 * s + 1, 1.2, 0.3)) for s in range(60)]
    truth = np.mean([frechet_distance(real=real, fake=fake) for real, fake in draws])
    found = [interval(frechet_influence(real=real, fake=fake), replicates=300) for real, fake in draws]
    hits = sum(one.low <= truth <= one.high for one in found)
    assert 51 <= hits <= 60
    kernel = [kernel_influence(real=real, fake=fake) for real, fake in draws]
    middle = np.mean([one.value for one in kernel])
    hits = sum(one.low <= middle <= one.high for one in (interval(i, replicates=300) for i in kernel))
    assert 50 <= hits <= 60


@pytest.mark.parametrize(("spread", "shift"), [(1.2, 0.2), (0.7, 0.0)])
def test_intervals_of_neighbours_hold_their_expectations(spread, shift):
    """Both sets vary, also as centres of balls: without those, three of four intervals of coverage held theirs."""
    draws = [(some(200, 6, 2 * s), some(200, 6, 2 * s + 1, spread, shift)) for s in range(100)]
    found = [feature_influences(real=real, fake=fake) for real, fake in draws]
    for name in ("precision", "recall", "density", "coverage"):
        truth = np.mean([influences[name].value for influences in found])
        intervals = [interval(influences[name], replicates=200) for influences in found]
        assert sum(one.low <= truth <= one.high for one in intervals) >= 89, name
        spreads = np.std([influences[name].value for influences in found])
        assert 0.8 < np.median([width(one) for one in intervals]) / (3.92 * spreads) < 1.6, name


def test_the_interval_of_a_share_is_the_binomial_one():
    inside = torch.arange(1000) < 300
    share = Influence(0.3, None, inside.double() - 0.3, 0.0, 1.0, (7, 1000))
    found = interval(share, replicates=4000)
    assert width(found) == pytest.approx(2 * 1.96 * (0.3 * 0.7 / 1000) ** 0.5, rel=0.1)
    sure = interval(Influence(0.001, None, (torch.arange(1000) < 1).double() - 0.001, 0.0, 1.0, (7, 1000)))
    assert sure.low == 0
    assert interval(share, level=0.5).high < found.high


def test_intervals_are_seeded_and_of_every_score():
    real, fake = some(80, 3), some(70, 3, 1, 0.8)
    for name, influence in feature_influences(real=real, fake=fake).items():
        one, two, three = (interval(influence, 100, seed=seed) for seed in (0, 0, 1))
        assert one == two
        assert one.low <= one.value <= one.high, name
        assert influence.samples == (80, 70)
        assert three != one or one.low == one.high
    assert bootstrap(sliced, real=real, fake=fake, replicates=20).real == 80
    fixed = interval(frechet_influence(real=FeatureStats.of(real), fake=fake))
    assert width(fixed) < width(interval(frechet_influence(real=real, fake=fake)))


def test_a_paired_test_finds_the_better_and_doubts_equals():
    real = some(400, 3)
    good, bad = some(300, 3, 1, 1, 0.2), some(300, 3, 2, 1, 0.6)
    of = {name: frechet_influence(real=real, fake=x) for name, x in (("good", good), ("bad", bad))}
    found = compare(of["good"], of["bad"])
    assert found.difference == pytest.approx(of["good"].value - of["bad"].value)
    assert found.high < 0
    assert found.p < 0.01
    assert found.decided
    back = compare(of["bad"], of["good"])
    assert back.low > 0
    slow = paired_test(frechet_distance, real=real, fake_a=good, fake_b=bad, replicates=100)
    assert slow.p < 0.05
    assert slow.difference == pytest.approx(found.difference)
    assert 0.65 < width(slow) / width(found) < 1.5
    equals = [compare(*(frechet_influence(real=real, fake=some(300, 3, s, 1, 0.3)) for s in pair), 200)
              for pair in zip(range(10, 30), range(30, 50), strict=True)]  # fmt: skip
    assert sum(one.decided for one in equals) <= 4
    assert 0.2 < np.median([one.p for one in equals]) < 0.9


def test_what_is_common_is_taken_off():
    """The same reals tell both apart better than other ones; the same latents better still."""
    real, base = some(60, 3), some(300, 3, 1, 1, 1)
    a, b = (frechet_influence(real=real, fake=x) for x in (base, base * 1.05))
    pairs = compare(a, b, paired_fakes=True)
    alone = compare(a, b)
    unpaired = (width(interval(a)) ** 2 + width(interval(b)) ** 2) ** 0.5
    assert width(pairs) < 0.5 * width(alone)
    assert width(alone) < unpaired
    slow = paired_test(frechet_distance, real=real, fake_a=base, fake_b=base * 1.05, paired_fakes=True)
    assert 0.5 < width(slow) / width(pairs) < 2
    other = frechet_influence(real=real, fake=base[:-1])
    with pytest.raises(ConfigError, match="300 fake samples and B has 299"):
        compare(a, other, paired_fakes=True)
    with pytest.raises(ConfigError, match="60 real samples and B has 59"):
        compare(a, frechet_influence(real=real[1:], fake=base))
    with pytest.raises(ConfigError, match="300 fake samples and B has 299"):
        paired_test(frechet_distance, real=real, fake_a=base, fake_b=base[1:], paired_fakes=True)


def test_the_floor_is_what_equal_distributions_get():
    real = some(1000, 4)
    floor = noise_floor(frechet_distance, real=real, samples=200)
    assert (floor.real, floor.fake, floor.splits) == (800, 200, 5)
    assert 0 < floor.low <= floor.value <= floor.high
    fresh = np.mean([frechet_distance(real=some(800, 4, s), fake=some(200, 4, s + 50)) for s in range(20)])
    assert floor.value == pytest.approx(fresh, rel=0.5)
    assert frechet_distance(real=real, fake=some(200, 4, 1, 1.3)) > floor.high
    assert noise_floor(frechet_distance, real=real).fake == 500
    assert noise_floor(frechet_distance, real=real, samples=9000).fake == 500
    assert noise_floor(sliced, real=real, seed=1, splits=2) == noise_floor(sliced, real=real, seed=1, splits=2)
