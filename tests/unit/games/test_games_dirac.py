"""The Dirac-GAN (Mescheder et al., 2018, arXiv:1801.04406, section 2): our losses and penalties against theory.

Data is one point at 0, G(z) = theta, D(x) = psi * x. Linearised at the equilibrium, simultaneous gradient descent with
rate h multiplies (theta, psi) by I + h J, and with R1 of strength gamma the eigenvalues of J are
-gamma/2 +- sqrt(gamma^2/4 - f'(0)^2), f'(0) being 1/2 for logistic losses and 1 for Wasserstein's.
"""

import cmath
import math
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from organza.games.latent import Batch, DuePenalty, LatentGame, Moment
from organza.losses import LOSSES
from organza.penalties import PENALTIES

SLOPES = {
    "non-saturating": 0.5, "softplus": 0.5, "minimax": 0.5, "least-squares": 0.5, "wasserstein": 1.0, "hinge": 1.0,
    "relativistic": 0.5, "relativistic-average": 1.0,
}  # fmt: skip
"""f'(0): the slope of what D pays at the border between real and fake; the average's two terms have one each."""
RATE = 0.05


class Point(nn.Module):
    """G(z) = theta."""

    z_dim = 1

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta))

    def forward(self, z, labels=None):
        return self.theta.expand(len(z), 1)


class Slope(nn.Module):
    """D(x) = psi * x, and at zero undecided."""

    def __init__(self, psi: float, border: float) -> None:
        super().__init__()
        self.psi, self.border = nn.Parameter(torch.tensor(psi)), border

    def features(self, x, labels=None):
        return x

    def logits(self, features, labels=None):
        return (self.psi * features).squeeze(1) + self.border


def orbit(loss: str, start: float, steps: int, penalty: str | None = None, gamma: float = 0.0) -> torch.Tensor:
    """(theta, psi) [steps + 1, 2] under simultaneous gradient descent."""
    game = LatentGame(Point(start), Slope(start, LOSSES[loss].border or 0.0), LOSSES[loss], nullcontext())
    batch = Batch(torch.zeros(2, 1), None, torch.zeros(2, 1), torch.rand(2))
    # The paper's R1 has gamma / 2.
    moment = Moment([DuePenalty(penalty, PENALTIES[penalty], gamma / 2)] if penalty else [])
    theta, psi = game.generator.theta, game.discriminator.psi
    places = [(theta.item(), psi.item())]
    for _ in range(steps):
        (down_psi,) = torch.autograd.grad(game.discriminator_turn(batch, game.generate(batch), moment)[0], psi)
        (down_theta,) = torch.autograd.grad(game.generator_turn(batch, game.generate(batch), Moment())[0], theta)
        with torch.no_grad():
            psi -= RATE * down_psi
            theta -= RATE * down_theta
        places.append((theta.item(), psi.item()))
    return torch.tensor(places)


def test_every_loss_has_a_slope_here():
    assert SLOPES.keys() == LOSSES.keys()


@pytest.mark.parametrize("loss", LOSSES)
def test_without_penalty_the_players_circle_for_ever(loss):
    places = orbit(loss, 0.01, 300)
    norms = places.norm(dim=1)
    expected = abs(1 + RATE * 1j * SLOPES[loss])  # a little above 1: the explicit Euler method drives outwards
    measured = (norms[-1] / norms[0]).item() ** (1 / 300)
    assert measured == pytest.approx(expected, rel=2e-5)
    assert measured > 1
    turned = torch.atan2(places[:, 1], places[:, 0]).diff()
    per_step = torch.remainder(turned + math.pi, 2 * math.pi) - math.pi
    assert per_step.abs().mean().item() == pytest.approx(math.atan(RATE * SLOPES[loss]), rel=1e-3)


@pytest.mark.parametrize("loss", LOSSES)
def test_far_from_the_equilibrium_they_do_not_get_there_either(loss):
    """Logistic losses drift inwards, more and more slowly; with R1 a shorter orbit ends below 1e-3.

    Squares grow with the distance, so that least squares drift most, and stop all the same.
    """
    norms = orbit(loss, 1.0, 800).norm(dim=1)
    assert norms.min() > (0.15 if loss == "least-squares" else 0.3) * norms[0]
    assert norms[400:].min() > 0.75 * norms[400]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("gamma", [0.25, 0.5, 3.0])
@pytest.mark.parametrize("penalty", ["r1", "r2"])  # one and the same here: the gradient of D does not depend on x
def test_with_r1_they_converge_at_the_rate_of_theory(loss, gamma, penalty):
    steps = 400
    norms = orbit(loss, 0.01, steps, penalty, gamma).norm(dim=1)
    root = cmath.sqrt(gamma**2 / 4 - SLOPES[loss] ** 2)
    slowest = max(abs(1 + RATE * (-gamma / 2 + sign * root)) for sign in (1, -1))
    half = steps // 2
    window = _whole_turns(abs(root.imag), half)
    measured = (norms[half + window] / norms[half]).item() ** (1 / window)
    assert slowest < 1
    assert measured == pytest.approx(slowest, rel=1e-3)
    assert 1 - measured == pytest.approx(1 - slowest, rel=0.05)  # of the rate itself, not of a number near 1


def _whole_turns(frequency: float, limit: int) -> int:
    """Steps of whole half-turns, after which the ellipse of an orbit has the same direction."""
    if frequency == 0:
        return limit
    half_turn = math.pi / math.atan2(RATE * frequency, 1)
    return max(1, round(half_turn * max(1, int(limit // half_turn))))


@pytest.mark.parametrize("loss", ["non-saturating", "relativistic"])
def test_with_r1_they_converge_from_afar(loss):
    norms = orbit(loss, 1.0, 600, "r1", 1.0).norm(dim=1)
    assert norms[-1] < 1e-3 * norms[0]


def test_wgan_gp_does_not_converge():
    """Its penalty keeps |psi| near 1 (section 4.1 of the paper): theta passes 0 again and again."""
    late = orbit("wasserstein", 1.0, 800, "gradient-norm", 1.0)[400:, 0]
    assert 1.2 < late.abs().max() < 1.7
    assert 4 <= (late[1:] * late[:-1] < 0).sum() <= 8
