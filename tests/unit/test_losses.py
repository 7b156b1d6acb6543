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
    "wasserstein": (average(f - r for r, f in PAIRS), -average(f for _, f in PAIRS)),
    "relativistic": (average(softplus(f - r) for r, f in PAIRS), average(softplus(r - f) for r, f in PAIRS)),
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
    loss = LOSSES[name]
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    loss.discriminator(real, fake).backward()
    assert (real.grad < 0).all()  # D raises its logits on real samples
    assert (fake.grad > 0).all()  # and lowers them on fake ones
    opponent = FAKE.clone().requires_grad_()
    loss.generator(opponent, REAL if loss.relativistic else None).backward()
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
