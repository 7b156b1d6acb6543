import math

import pytest
import torch

from organza.losses import LOSSES, probability

REAL, FAKE = torch.tensor([2.0, -1.0, 0.5, 3.0]), torch.tensor([-1.0, 0.25, 4.0, -2.0])


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def average(values) -> float:
    values = list(values)
    return sum(values) / len(values)


PAIRS = list(zip(REAL.tolist(), FAKE.tolist(), strict=True))
EXPECTED = {
    "non-saturating": (
        average(softplus(-r) for r, _ in PAIRS) + average(softplus(f) for _, f in PAIRS),
        average(softplus(-f) for _, f in PAIRS),
    ),
    "softplus": (
        average(softplus(-r) for r, _ in PAIRS) + average(softplus(f) for _, f in PAIRS),
        average(softplus(-f) for _, f in PAIRS),
    ),
    "minimax": (
        -average(math.log(1 / (1 + math.exp(-r))) for r, _ in PAIRS)
        - average(math.log(1 - 1 / (1 + math.exp(-f))) for _, f in PAIRS),
        average(math.log(1 - 1 / (1 + math.exp(-f))) for _, f in PAIRS),
    ),
    "least-squares": (
        average((r - 1) ** 2 / 2 for r, _ in PAIRS) + average(f**2 / 2 for _, f in PAIRS),
        average((f - 1) ** 2 / 2 for _, f in PAIRS),
    ),
    "wasserstein": (average(f - r for r, f in PAIRS), -average(f for _, f in PAIRS)),
    "hinge": (
        average(max(0, 1 - r) for r, _ in PAIRS) + average(max(0, 1 + f) for _, f in PAIRS),
        -average(f for _, f in PAIRS),
    ),
    "relativistic": (average(softplus(f - r) for r, f in PAIRS), average(softplus(r - f) for r, f in PAIRS)),
    "relativistic-average": (
        average(softplus(average(FAKE.tolist()) - r) for r, _ in PAIRS)
        + average(softplus(f - average(REAL.tolist())) for _, f in PAIRS),
        average(softplus(r - average(FAKE.tolist())) for r, _ in PAIRS)
        + average(softplus(average(REAL.tolist()) - f) for _, f in PAIRS),
    ),
}


def test_every_loss_has_an_expected_value_here():
    assert EXPECTED.keys() == LOSSES.keys()


@pytest.mark.parametrize("name", LOSSES)
def test_values_at_known_logits(name):
    loss, (discriminator, generator) = LOSSES[name], EXPECTED[name]
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(discriminator, rel=1e-6)
    assert loss.generator(FAKE, REAL).item() == pytest.approx(generator, rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_players_pull_in_opposite_directions(name):
    loss, opponents = LOSSES[name], torch.tensor([0.75, 0.25, 0.5, 0.125])  # none has reached its margin or target
    real, fake = opponents.clone().requires_grad_(), opponents.flip(0).clone().requires_grad_()
    loss.discriminator(real, fake).backward()
    assert (real.grad < 0).all()  # D raises its logits on real samples
    assert (fake.grad > 0).all()  # and lowers them on fake ones
    opponent = opponents.clone().requires_grad_()
    loss.generator(opponent, opponents.flip(0) if loss.relativistic else None).backward()
    assert (opponent.grad < 0).all()  # G raises them


def test_known_points():
    zero = torch.zeros(3)
    assert LOSSES["non-saturating"].discriminator(zero, zero).item() == pytest.approx(2 * math.log(2))
    assert LOSSES["relativistic"].discriminator(zero, zero).item() == pytest.approx(math.log(2))
    assert LOSSES["wasserstein"].discriminator(zero, zero).item() == 0
    assert probability(zero).item() == 0.5


def test_the_generator_keeps_its_gradient_when_the_discriminator_wins():
    fake = torch.full((4,), -50.0, requires_grad=True)
    LOSSES["non-saturating"].generator(fake, None).backward()
    assert fake.grad.sum().item() == pytest.approx(-1, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_large_logits_stay_finite(name):
    large = torch.tensor([1e4, -1e4])
    assert torch.isfinite(LOSSES[name].discriminator(large, large.flip(0)))
    assert torch.isfinite(LOSSES[name].generator(large, large.flip(0)))


def test_relativistic_pairs_are_by_index():
    loss = LOSSES["relativistic"]
    assert loss.discriminator(REAL, FAKE) != loss.discriminator(REAL, FAKE.flip(0))
    order = torch.tensor([2, 0, 3, 1])
    assert torch.allclose(loss.discriminator(REAL, FAKE), loss.discriminator(REAL[order], FAKE[order]))
    assert torch.allclose(loss.discriminator(REAL + 7, FAKE + 7), loss.discriminator(REAL, FAKE), atol=1e-6)


def test_only_relativistic_losses_see_real_logits_in_the_generators_turn():
    for name, loss in LOSSES.items():
        changed = loss.generator(FAKE, REAL) != loss.generator(FAKE, REAL + 1)
        assert bool(changed) == loss.relativistic, name


def test_the_saturating_generator_loses_its_gradient_when_the_discriminator_wins():
    fake = torch.full((4,), -50.0, requires_grad=True)
    LOSSES["minimax"].generator(fake, None).backward()
    assert fake.grad.abs().sum().item() < 1e-6


def test_the_hinge_leaves_sure_samples_alone():
    real, fake = torch.tensor([1.5, 0.5], requires_grad=True), torch.tensor([-1.5, -0.5], requires_grad=True)
    LOSSES["hinge"].discriminator(real, fake).backward()
    assert real.grad.tolist() == [0, -0.5]
    assert fake.grad.tolist() == [0, 0.5]


def test_smoothed_targets_are_those_of_cross_entropy():
    targets = torch.tensor([0.9, 0.8, 0.7, 1.0]), torch.tensor([0.1, 0.0, 0.2, 0.3])
    loss = LOSSES["non-saturating"].discriminator(REAL, FAKE, targets)
    of = torch.nn.functional.binary_cross_entropy_with_logits
    assert loss.item() == pytest.approx((of(REAL, targets[0]) + of(FAKE, targets[1])).item(), rel=1e-6)


def test_smoothed_targets_are_those_of_least_squares_up_to_a_constant():
    targets = torch.tensor([0.9, 0.8, 0.7, 1.0]), torch.tensor([0.1, 0.0, 0.2, 0.3])
    plain = ((REAL - targets[0]).square() + (FAKE - targets[1]).square()).mean() / 2
    constant = sum((t * (1 - t)).mean() / 2 for t in targets)
    found = LOSSES["least-squares"].discriminator(REAL, FAKE, targets)
    assert found.item() == pytest.approx((plain + constant).item(), rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_plain_targets_change_nothing_and_swapped_ones_swap_the_samples(name):
    loss, one, zero = LOSSES[name], torch.ones(4), torch.zeros(4)
    same = loss.discriminator(REAL, FAKE, (one, zero))
    assert same.item() == pytest.approx(loss.discriminator(REAL, FAKE).item(), rel=1e-6)
    swapped = loss.discriminator(REAL, FAKE, (zero, one))
    if loss.versus == "nothing":
        assert swapped.item() == pytest.approx(loss.discriminator(FAKE, REAL).item(), rel=1e-6)
    else:
        assert swapped.item() != pytest.approx(same.item(), rel=1e-3)


@pytest.mark.parametrize("name", LOSSES)
def test_several_logits_for_one_sample_count_as_their_mean(name):
    real, fake = torch.stack([REAL, REAL + 1], 1), torch.stack([FAKE, FAKE - 1], 1)
    loss = LOSSES[name]
    apart = [loss.discriminator(real[:, k], fake[:, k]) for k in range(2)]
    assert loss.discriminator(real, fake).item() == pytest.approx(torch.stack(apart).mean().item(), rel=1e-6)
    targets = torch.full((4,), 0.9), torch.full((4,), 0.1)
    apart = [loss.discriminator(real[:, k], fake[:, k], targets) for k in range(2)]
    assert loss.discriminator(real, fake, targets).item() == pytest.approx(torch.stack(apart).mean().item(), rel=1e-6)
