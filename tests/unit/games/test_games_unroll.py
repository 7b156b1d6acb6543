"""Looking ahead (Metz et al., 2016, arXiv:1611.02163) against Adam itself, a gradient by hand and theory."""

import cmath
import copy
import math
from contextlib import nullcontext

import pytest
import torch
from engine_helpers import assert_equal_trees, small_trainer
from torch import nn

from organza.config import Schedule
from organza.games.latent import Batch, LatentGame, Moment
from organza.games.unroll import adam, looked_ahead
from organza.losses import LOSSES
from organza.training.checkpoint import optimizer_state

POINTS = (2,)


class Point(nn.Module):
    """G(z) = theta."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta))

    def forward(self, z, labels=None):
        return self.theta.expand(len(z), 1)


class Slope(nn.Module):
    """D(x) = psi * x."""

    def __init__(self, psi: float) -> None:
        super().__init__()
        self.psi = nn.Parameter(torch.tensor(psi))

    def features(self, x, labels=None):
        return x

    def logits(self, features, labels=None):
        return (self.psi * features).squeeze(1)


def dirac(theta: float, psi: float, loss: str):
    """The Dirac-GAN (arXiv:1801.04406, section 2): data is one point at 0."""
    game = LatentGame(Point(theta), Slope(psi), LOSSES[loss], nullcontext())
    return game, Batch(torch.zeros(2, 1), None, torch.zeros(2, 1), torch.rand(2))


def test_one_step_ahead_has_the_gradient_of_hand():
    """D's loss psi theta has the gradient theta, and Adam's first step goes to psi' = psi - h theta / (|theta| + e).

    G minimises -psi' theta, whose derivative is -psi' - theta dpsi'/dtheta, with dpsi'/dtheta = -h e / (|theta| + e)^2.
    """
    theta, psi, h, e = 0.7, -0.4, 0.3, 0.5
    game, batch = dirac(theta, psi, "wasserstein")
    optimizer = torch.optim.Adam(game.discriminator.parameters(), h, (0.0, 0.9), e)
    ahead = looked_ahead(game, batch, game.generate(batch), Moment(), optimizer, 1)
    loss, _ = ahead.generator_turn(batch, game.generate(batch), Moment())
    moved = psi - h * theta / (theta + e)
    slope = -h * e / (theta + e) ** 2
    assert loss.item() == pytest.approx(-moved * theta, rel=1e-6)
    fake = game.generate(batch)
    ahead = looked_ahead(game, batch, fake, Moment(), optimizer, 1)
    (gradient,) = torch.autograd.grad(ahead.generator_turn(batch, fake, Moment())[0], game.generator.theta)
    assert gradient.item() == pytest.approx(-moved - theta * slope, rel=1e-5)
    assert abs(theta * slope) > 0.02  # the part that looks ahead


def test_a_step_of_adam_is_torchs_for_any_state():
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(50))
    settings = {"lr": 0.03, "betas": (0.4, 0.95), "eps": 1e-6, "weight_decay": 0.1}
    optimizer = torch.optim.Adam([weight], **settings)
    mine, state = weight.detach().clone(), (torch.zeros(50), torch.zeros(50), torch.zeros(()))
    for _ in range(5):
        weight.grad = torch.randn(50) * torch.logspace(-5, 1, 50)
        mine, state = adam(mine, weight.grad, *state, optimizer.param_groups[0])
        optimizer.step()
        torch.testing.assert_close(mine, weight.detach(), rtol=1e-5, atol=1e-6)


CASES = {
    "points": ("gan", POINTS, {}),
    "batch-norm": ("dcgan", (1, 16, 16), {}),
    "spectral-norm": ("dcgan", (1, 16, 16), {"discriminator.model.norm": "none", "discriminator.spectral_norm": True}),
    "labels": ("cgan", (1, 16, 16), {}),
    "targets": ("gan", POINTS, {"targets.real": 0.8, "targets.flip": 0.2}),
    "noise": ("gan", POINTS, {"noise": 0.5}),
    "pseudo": ("gan", POINTS, {"augment.fakes_for_reals": True, "augment.probability": 0.5}),
    "decay": ("gan", POINTS, {"discriminator.optimizer.weight_decay": 0.1}),
    "rates": ("gan", POINTS, {"discriminator.optimizer.lr": Schedule(start=0.01, end=0.001, images=32),
                              "discriminator.optimizer.beta2": Schedule(start=0.9, end=0.99, images=32)}),
    "hinge": ("gan", POINTS, {"loss": "hinge"}),
    "relativistic": ("gan", POINTS, {"loss": "relativistic"}),
}  # fmt: skip


def trained(case: str):
    """A trainer whose optimisers have seen some steps, a batch and its fakes."""
    recipe, shape, changes = CASES[case]
    trainer = small_trainer(recipe, {"unroll": 1, **changes}, shape)
    for _ in range(3):
        trainer.step()
    batch = trainer.batches.next()
    trainer.players["discriminator"].freeze(True)
    trainer.players["generator"].freeze(False)
    return trainer, batch, trainer.game.generate(batch), trainer._moment("generator")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("steps", [1, 4])
def test_the_weights_ahead_are_those_that_adam_really_reaches(case, steps):
    trainer, batch, fake, moment = trained(case)
    player = trainer.players["discriminator"]
    before = copy.deepcopy((player.network.state_dict(), optimizer_state(player.optimizer)))
    gradients = [None if p.grad is None else p.grad.clone() for p in player.parameters]
    ahead = looked_ahead(trainer.game, batch, fake, moment, player.optimizer, steps).discriminator
    ahead.features(batch.real, batch.labels)  # a pass more, as G's turn has it
    assert_equal_trees({"n": player.network.state_dict()}, {"n": before[0]})  # buffers too
    assert_equal_trees(optimizer_state(player.optimizer), before[1])
    for parameter, gradient in zip(player.parameters, gradients, strict=True):
        assert parameter.grad is gradient is None or torch.equal(parameter.grad, gradient)
    assert not any(p.requires_grad for p in player.parameters)
    found = {name.removeprefix("network."): tensor for name, tensor in ahead.tensors.items()}
    player.freeze(False)
    for _ in range(steps):
        player.optimizer.zero_grad()
        trainer.game.discriminator_turn(batch, fake, moment)[0].backward()
        player.optimizer.step()
    for name, weight in player.network.named_parameters():
        torch.testing.assert_close(found[name], weight, rtol=1e-4, atol=2e-6, msg=lambda text, n=name: f"{n}: {text}")
        moved = (weight - before[0][name]).abs().max()
        assert moved > 1e-4 or weight.grad.abs().max() == 0, name


def test_weights_that_only_a_penalty_uses_stay():
    """The loss alone looks ahead, and gives the heads and decoders of D no gradient."""
    game, batch = dirac(0.7, -0.4, "non-saturating")
    game.discriminator.idle = nn.Linear(1, 1)
    optimizer = torch.optim.Adam(game.discriminator.parameters(), 0.1)
    ahead = looked_ahead(game, batch, game.generate(batch), Moment(), optimizer, 3).discriminator
    assert torch.equal(ahead.tensors["network.idle.weight"], game.discriminator.idle.weight)
    assert ahead.tensors["network.psi"].item() == pytest.approx(-0.7, abs=0.01)  # Adam's first steps are as long as lr


@pytest.mark.parametrize("case", ["points", "batch-norm"])
def test_no_step_ahead_changes_nothing(case):
    trainer, batch, fake, moment = trained(case)
    optimizer = trainer.players["discriminator"].optimizer
    parameters = list(trainer.game.generator.parameters())
    plain, _ = trainer.game.generator_turn(batch, fake, moment)
    ahead, _ = looked_ahead(trainer.game, batch, fake, moment, optimizer, 0).generator_turn(batch, fake, moment)
    further, _ = looked_ahead(trainer.game, batch, fake, moment, optimizer, 2).generator_turn(batch, fake, moment)
    assert ahead.item() == plain.item()
    assert further.item() != plain.item()
    for one, two in zip(*(torch.autograd.grad(v, parameters, retain_graph=True) for v in (plain, ahead)), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_a_trainer_looks_as_far_as_it_is_told():
    trainers = [small_trainer("gan", {"unroll": steps}, POINTS) for steps in (0, 0, 1, 5)]
    for trainer in trainers:
        trainer.step()
    plain, same, one, five = (t.game.generator.head.weight for t in trainers)
    assert torch.equal(plain, same)
    assert not torch.equal(plain, one)
    assert not torch.equal(one, five)
    judges = [t.game.discriminator.head.weight for t in trainers]
    assert all(torch.equal(judges[0], judge) for judge in judges)  # D's first turn is no other
    rehearsed = small_trainer("gan", {"unroll": 2}, POINTS)
    loss, _ = rehearsed._generator_loss(rehearsed.batches.next(), None, rehearsed._moment("generator"))
    assert math.isfinite(loss.item())


def spiral(steps_ahead: int, turns: int) -> torch.Tensor:
    """Distances from the equilibrium of the minimax Dirac-GAN under simultaneous gradient descent, G looking ahead.

    With beta1 = 0 and an eps far above all gradients, a step of Adam goes lr / eps down the gradient.
    """
    game, batch = dirac(0.01, 0.01, "minimax")
    theta, psi = game.generator.theta, game.discriminator.psi
    optimizer = torch.optim.Adam([psi], AHEAD * EPS, (0.0, 0.999), EPS)
    places = []
    for _ in range(turns):
        fake = game.generate(batch)
        (down_psi,) = torch.autograd.grad(game.discriminator_turn(batch, fake, Moment())[0], psi)
        ahead = looked_ahead(game, batch, fake, Moment(), optimizer, steps_ahead)
        (down_theta,) = torch.autograd.grad(ahead.generator_turn(batch, fake, Moment())[0], theta)
        places.append((theta.item(), psi.item()))
        with torch.no_grad():
            psi -= RATE * down_psi
            theta -= RATE * down_theta
    return torch.tensor(places)


RATE, AHEAD, EPS = 0.1, 0.2, 100.0


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_looking_ahead_turns_the_spiral_inwards_at_the_rate_of_theory(steps):
    """Linearised at the equilibrium, D learns theta / 2 and G sees psi - k h theta / 2 in the place of psi.

    G's loss -softplus(psi' theta) then has the slope -psi / 2 + k h theta / 2: J = [[-k h / 2, 1/2], [-1/2, 0]] for
    (theta, psi), with the eigenvalues -k h / 4 +- sqrt((k h)^2 / 16 - 1/4): an orbit outwards for k = 0, inwards above.
    """
    pull = steps * AHEAD
    expected = abs(1 + RATE * (-pull / 4 + cmath.sqrt(pull**2 / 16 - 0.25)))
    frequency = math.sqrt(0.25 - pull**2 / 16)
    turn = round(2 * math.pi / math.atan2(RATE * frequency, 1 - RATE * pull / 4))  # after it an ellipse is as it was
    norms = spiral(steps, turn + 21).norm(dim=1)
    measured = (norms[20 + turn] / norms[20]).item() ** (1 / turn)
    assert measured == pytest.approx(expected, abs=0.05 * abs(1 - expected) + 1e-5)
    assert (measured > 1) == (steps == 0)
