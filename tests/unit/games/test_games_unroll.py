"""Looking ahead (Metz et al., 2016, arXiv:1611.02163) against real optimisers, a gradient by hand and theory."""

import cmath
import copy
import math
from contextlib import nullcontext

import pytest
import torch
from engine_helpers import assert_equal_trees, small_trainer
from torch import nn

from organza.config import Model, Optimizer, Penalty, Player, Schedule
from organza.games.latent import Batch, DuePenalty, LatentGame, Moment
from organza.games.unroll import adam, looked_ahead, rmsprop
from organza.losses import LOSSES
from organza.penalties import PENALTIES
from organza.training import trainer as trainer_module
from organza.training import turn
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


def critic(game: LatentGame, lr: float, beta2: float = 0.999, eps: float = 1e-8) -> turn.Player:
    """The player of D, with Adam and no momentum."""
    adam = Optimizer(name="adam", lr=lr, beta1=0.0, beta2=beta2, eps=eps)
    config = Player(model=Model(name="mlp"), optimizer=adam)
    player = turn.Player("discriminator", config, game.discriminator, game.discriminator_turn)
    turn.set_rates(player.optimizer, adam, 0)
    return player


def test_one_step_ahead_has_the_gradient_of_hand():
    """D's loss psi theta has the gradient theta, and Adam's first step goes to psi' = psi - h theta / (|theta| + e).

    G minimises -psi' theta, whose derivative is -psi' - theta dpsi'/dtheta, with dpsi'/dtheta = -h e / (|theta| + e)^2.
    """
    theta, psi, h, e = 0.7, -0.4, 0.3, 0.5
    game, batch = dirac(theta, psi, "wasserstein")
    judge = critic(game, h, 0.9, e)
    ahead = looked_ahead(game, batch, game.generate(batch), [Moment()], judge)
    loss, _ = ahead.generator_turn(batch, game.generate(batch), Moment())
    moved = psi - h * theta / (theta + e)
    slope = -h * e / (theta + e) ** 2
    assert loss.item() == pytest.approx(-moved * theta, rel=1e-6)
    fake = game.generate(batch)
    ahead = looked_ahead(game, batch, fake, [Moment()], judge)
    (gradient,) = torch.autograd.grad(ahead.generator_turn(batch, fake, Moment())[0], game.generator.theta)
    assert gradient.item() == pytest.approx(-moved - theta * slope, rel=1e-5)
    assert abs(theta * slope) > 0.02  # the part that looks ahead


@pytest.mark.parametrize(("rule", "name", "beta"), [(adam, "Adam", {"betas": (0.4, 0.95)}), (rmsprop, "RMSprop", {})])
def test_a_step_is_torchs_for_any_state(rule, name, beta):
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(50))
    optimizer = getattr(torch.optim, name)([weight], lr=0.03, eps=1e-6, weight_decay=0.1, **beta)
    mine, state = weight.detach().clone(), (torch.zeros(50), torch.zeros(50), torch.zeros(()))
    for _ in range(5):
        weight.grad = torch.randn(50) * torch.logspace(-5, 1, 50)
        mine, state = rule(mine, weight.grad, *state, optimizer.param_groups[0])
        optimizer.step()
        torch.testing.assert_close(mine, weight.detach(), rtol=1e-5, atol=1e-6)


PLAIN = {"discriminator.model.norm": "none"}


def punished(*names: str) -> dict:
    """D's penalties, each with a weight that is felt."""
    return {"discriminator.penalties": tuple(Penalty(name=name, weight=2.0) for name in names), **PLAIN}


CASES = {
    "points": ("gan", POINTS, {}),
    "batch-norm": ("dcgan", (1, 16, 16), {}),
    "spectral-norm": ("dcgan", (1, 16, 16), {"discriminator.model.norm": "none", "discriminator.spectral_norm": True}),
    "labels": ("cgan", (1, 16, 16), {"seed": 3}),  # with 0 a unit is at the kink of its slope, where rounding decides
    "targets": ("gan", POINTS, {"targets.real": 0.8, "targets.flip": 0.2}),
    "noise": ("gan", POINTS, {"noise": 0.5}),
    "pseudo": ("gan", POINTS, {"augment.fakes_for_reals": True, "augment.probability": 0.5}),
    "decay": ("gan", POINTS, {"discriminator.optimizer.weight_decay": 0.1}),
    "rates": ("gan", POINTS, {"discriminator.optimizer.lr": Schedule(start=0.01, end=0.001, images=32),
                              "discriminator.optimizer.beta2": Schedule(start=0.9, end=0.99, images=32)}),
    "hinge": ("gan", POINTS, {"loss": "hinge"}),
    "relativistic": ("gan", POINTS, {"loss": "relativistic"}),
    "r1": ("dcgan", (1, 16, 16), punished("r1")),
    "r2": ("dcgan", (1, 16, 16), punished("r2")),
    "wgan-gp": ("wgan-gp", (1, 16, 16), {}),
    "dragan": ("dragan", (1, 16, 16), {}),
    "r3gan": ("r3gan", (1, 16, 16), {}),
    "progan": ("progan", (1, 16, 16), {}),
    "consistency": ("dcgan", (1, 16, 16), punished("bcr", "lecam", "orthogonal")),
    "zcr": ("dcgan", (1, 16, 16), {**punished("zcr"), "generator.penalties": "zcr"}),
    "classes": ("acgan", (1, 16, 16), {}),
    "codes": ("infogan", (1, 16, 16), {}),
    "decoders": ("fastgan", (1, 16, 16), {}),
    "cut": ("wgan", POINTS, {}),
    "clip": ("gan", POINTS, {"discriminator.clip": 0.01}),
    "frozen": ("dcgan", (1, 16, 16), {"discriminator.frozen": 2}),
}  # fmt: skip


def trained(case: str):
    """A trainer whose optimisers have seen some steps, a batch and its fakes."""
    recipe, shape, changes = CASES[case]
    trainer = small_trainer(recipe, {"unroll": 1, "share_fakes": False, **changes}, shape)
    for _ in range(3):
        trainer.step()
    batch = trainer.batches.next()
    trainer.players["discriminator"].freeze(True)
    trainer.players["generator"].freeze(False)
    return trainer, batch, trainer.game.generate(batch), trainer._moment("generator")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("steps", [1, 4])
def test_the_weights_ahead_are_those_that_d_really_reaches(case, steps):
    trainer, batch, fake, _ = trained(case)
    player, moment = trainer.players["discriminator"], trainer._moment("discriminator")
    turn.set_rates(player.optimizer, player.config.optimizer, trainer.images)
    before = copy.deepcopy((player.network.state_dict(), optimizer_state(player.optimizer)))
    gradients = [None if p.grad is None else p.grad.clone() for p in player.parameters]
    ahead = looked_ahead(trainer.game, batch, fake, [moment] * steps, player)
    ahead.seen(trainer.game.judge, batch.real, batch, moment)  # a pass more, as G's turn has it
    assert_equal_trees({"n": player.network.state_dict()}, {"n": before[0]})  # buffers too
    assert_equal_trees(optimizer_state(player.optimizer), before[1])
    for parameter, gradient in zip(player.parameters, gradients, strict=True):
        assert parameter.grad is gradient is None or torch.equal(parameter.grad, gradient)
    assert not any(p.requires_grad for p in player.learning)
    player.freeze(False)
    for _ in range(steps):
        player.take_turn([(batch, fake, moment)], trainer.images)
    learning = {id(parameter) for parameter in player.learning}
    # FastGAN's decoders are judged by L1: rounding decides its sign where they are right.
    near = 4e-4 if case == "decoders" else 2e-6
    for name, weight in player.network.named_parameters():
        found = ahead.tensors.get(name, before[0][name])
        torch.testing.assert_close(found, weight, rtol=1e-4, atol=near, msg=lambda text, n=name: f"{n}: {text}")
        idle = id(weight) not in learning or weight.grad is None or weight.grad.abs().max() == 0
        assert idle or (weight - before[0][name]).abs().max() > 1e-5, name


SLOPES = {"r2": lambda psi: (2 * psi, 2.0), "gradient-norm": lambda psi: (2 * (psi - math.copysign(1, psi)), 2.0)}


@pytest.mark.parametrize("name", SLOPES)
def test_steps_ahead_with_a_penalty_have_the_gradient_of_hand(name):
    """D's loss psi theta + w P(psi) has the gradient g = theta + w P'(psi), and psi goes to psi - h g / (|g| + e).

    P is of the slope in x alone: from the second step on psi depends on the fakes too, which is none of its business.
    """
    theta, psi, h, e, w = 0.7, -0.4, 0.3, 0.5, 0.25
    game, batch = dirac(theta, psi, "wasserstein")
    fake, due = game.generate(batch), Moment([DuePenalty(name, PENALTIES[name], w)])
    ahead = looked_ahead(game, batch, fake, [due] * 3, critic(game, h, 0.0, e))
    loss, _ = ahead.generator_turn(batch, fake, Moment())
    (gradient,) = torch.autograd.grad(loss, game.generator.theta)
    moved = 0.0  # d psi / d theta
    for _ in range(3):
        slope, curve = SLOPES[name](psi)
        g, dg = theta + w * slope, 1 + w * curve * moved
        psi, moved = psi - h * g / (abs(g) + e), moved - h * e / (abs(g) + e) ** 2 * dg
    assert loss.item() == pytest.approx(-psi * theta, rel=1e-5)
    assert gradient.item() == pytest.approx(-psi - theta * moved, rel=1e-4)


def test_weights_without_a_penalty_that_uses_them_stay():
    game, batch = dirac(0.7, -0.4, "non-saturating")
    game.discriminator.idle = nn.Linear(1, 1)
    ahead = looked_ahead(game, batch, game.generate(batch), [Moment()] * 3, critic(game, 0.1))
    assert torch.equal(ahead.tensors["idle.weight"], game.discriminator.idle.weight)
    assert ahead.tensors["psi"].item() == pytest.approx(-0.7, abs=0.01)  # Adam's first steps are as long as lr


@pytest.mark.parametrize("case", ["points", "batch-norm"])
def test_no_step_ahead_changes_nothing(case):
    trainer, batch, fake, moment = trained(case)
    player = trainer.players["discriminator"]
    parameters = list(trainer.game.generator.parameters())
    plain, _ = trainer.game.generator_turn(batch, fake, moment)
    ahead, _ = looked_ahead(trainer.game, batch, fake, [], player).generator_turn(batch, fake, moment)
    further, _ = looked_ahead(trainer.game, batch, fake, [moment] * 2, player).generator_turn(batch, fake, moment)
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


def test_a_lazy_penalty_is_due_in_its_turns_of_the_steps_ahead():
    lazy = (Penalty(name="drift", weight=0.5, every=3),)
    trainer = small_trainer("gan", {"unroll": 4, "discriminator.penalties": lazy}, POINTS)
    trainer.step()
    batch, moment = trainer.batches.next(), trainer._moment("generator")
    with pytest.MonkeyPatch.context() as patch:
        seen = []
        patch.setattr(trainer_module, "looked_ahead", lambda *given: seen.append(given[3]) or given[0])
        loss, _ = trainer._generator_loss(batch, None, moment)
    assert [[(p.name, p.weight) for p in m.due] for m in seen[0]] == [[], [], [("drift", 1.5)], []]
    assert math.isfinite(loss.item())


def spiral(steps_ahead: int, turns: int) -> torch.Tensor:
    """Distances from the equilibrium of the minimax Dirac-GAN under simultaneous gradient descent, G looking ahead.

    With beta1 = 0 and an eps far above all gradients, a step of Adam goes lr / eps down the gradient.
    """
    game, batch = dirac(0.01, 0.01, "minimax")
    theta, psi = game.generator.theta, game.discriminator.psi
    judge = critic(game, AHEAD * EPS, eps=EPS)
    places = []
    for _ in range(turns):
        fake = game.generate(batch)
        (down_psi,) = torch.autograd.grad(game.discriminator_turn(batch, fake, Moment())[0], psi)
        ahead = looked_ahead(game, batch, fake, [Moment()] * steps_ahead, judge)
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
