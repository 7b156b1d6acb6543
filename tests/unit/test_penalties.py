import dataclasses
import math
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.func import functional_call

from organza.draws import Draws
from organza.games.latent import Batch, DuePenalty, LatentGame, Moment
from organza.losses import LOSSES
from organza.penalties import PENALTIES, Evidence

SIZE = 5
CLOSED_FORM = {  # of a linear D(x) = w.x + b with |w| = n, at real and fake logits
    "r1": lambda n, real, fake: torch.full_like(real, n**2),
    "r2": lambda n, real, fake: torch.full_like(real, n**2),
    "gradient-norm": lambda n, real, fake: torch.full_like(real, (n - 1) ** 2),
    "dragan": lambda n, real, fake: torch.full_like(real, (n - 1) ** 2),
    "drift": lambda n, real, fake: real**2,
    "lecam": lambda n, real, fake: (real - FAKE_OF_LATE) ** 2 + (fake - REAL_OF_LATE) ** 2,
}
REAL_OF_LATE, FAKE_OF_LATE = 0.75, -0.25
ELSEWHERE = PENALTIES.keys() - CLOSED_FORM.keys()  # tested in the files beside this one, one by one
OF_GRADIENTS = [*CLOSED_FORM]


class Flat(nn.Module):
    """Any network of one number a sample, as a discriminator."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x, labels=None):
        return self.logits(self.features(x))

    def features(self, x, labels=None):
        return self.network(x.flatten(1))

    def logits(self, features, labels=None):
        return features.squeeze(1)


def evidence(judge, real, fake, mix=None) -> Evidence:
    real, fake = real.clone().requires_grad_(), fake.clone().requires_grad_()
    memory, draws = torch.tensor([REAL_OF_LATE, FAKE_OF_LATE]), Draws(torch.arange(len(real)))
    mix = torch.rand(len(real)) if mix is None else mix
    return Evidence(real, fake, judge(real), judge(fake), mix, judge, memory=memory, draws=draws)


def test_every_penalty_has_a_closed_form_here():
    assert CLOSED_FORM.keys() <= PENALTIES.keys()
    others = ("test_penalties_of_features.py", "test_penalties_of_styles.py")
    elsewhere = "".join((Path(__file__).parent / name).read_text() for name in others)
    latent = [name for name in ELSEWHERE if PENALTIES[name].of == "all" and name != "smooth"]
    assert all(f'PENALTIES["{name}"]' in elsewhere for name in latent)


@pytest.mark.parametrize("name", CLOSED_FORM)
@pytest.mark.parametrize("shape", [(2,), (3, 4, 4)])
def test_linear_discriminator(name, shape):
    torch.manual_seed(0)
    judge = Flat(nn.Linear(math.prod(shape), 1))
    turn = evidence(judge, torch.randn(SIZE, *shape), torch.randn(SIZE, *shape))
    norm = judge.network.weight.norm().item()
    expected = CLOSED_FORM[name](norm, turn.real_logits, turn.fake_logits)
    value = PENALTIES[name].per_sample(turn)
    assert value.shape == (SIZE,)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)


def test_r1_sees_real_and_r2_fake_samples():
    def judge(x):
        return x.square().sum(1) / 2  # gradient x

    real, fake = torch.randn(SIZE, 3), torch.randn(SIZE, 3)
    turn = evidence(judge, real, fake)
    torch.testing.assert_close(PENALTIES["r1"].per_sample(turn), real.square().sum(1))
    torch.testing.assert_close(PENALTIES["r2"].per_sample(turn), fake.square().sum(1))


def test_gradient_norm_is_taken_between_the_samples():
    def judge(x):
        return x.square().sum(1) / 2

    real, fake, mix = torch.randn(SIZE, 3), torch.randn(SIZE, 3), torch.tensor([0.0, 1.0, 0.25, 0.5, 0.9])
    between = mix[:, None] * real + (1 - mix[:, None]) * fake
    expected = (between.norm(dim=1) - 1).square()
    torch.testing.assert_close(PENALTIES["gradient-norm"].per_sample(evidence(judge, real, fake, mix)), expected)


def test_dragan_looks_beside_the_data_half_a_deviation_away_at_most():
    def judge(x):
        return x.square().sum(1) / 2  # gradient x

    real, deviation = torch.randn(SIZE, 3), 0.8
    turn = dataclasses.replace(evidence(judge, real, real), deviation=deviation)
    noise = Draws(torch.arange(SIZE)).uniform("dragan", 3)
    assert 0 <= noise.min() < 0.4
    assert 0.6 < noise.max() < 1
    found = PENALTIES["dragan"].per_sample(turn)
    torch.testing.assert_close(found, ((real + deviation / 2 * noise).norm(dim=1) - 1).square())
    assert (found - (real.norm(dim=1) - 1).square()).abs().min() > 1e-3  # nor is it the penalty at the data


def test_gradient_norm_of_a_flat_critic_has_a_finite_gradient():
    judge = Flat(nn.Linear(3, 1))
    nn.init.zeros_(judge.network.weight)
    PENALTIES["gradient-norm"].per_sample(evidence(judge, torch.randn(4, 3), torch.randn(4, 3))).mean().backward()
    assert torch.isfinite(judge.network.weight.grad).all()


def smooth_game(due: list[str], loss="non-saturating", weight=1.0):
    """A game with a curved D, a batch of labels-free images, and the penalties that are due."""
    torch.manual_seed(1)
    judge = Flat(nn.Sequential(nn.Linear(12, 7), nn.Tanh(), nn.Linear(7, 1)))
    game = LatentGame(nn.Identity(), judge, LOSSES[loss], nullcontext())
    batch = Batch(torch.randn(6, 3, 2, 2), None, torch.randn(6, 4), torch.rand(6))
    penalties = [DuePenalty(name, PENALTIES[name], weight) for name in due]
    return game, batch, torch.randn(6, 3, 2, 2), Moment(penalties, memory=torch.tensor([REAL_OF_LATE, FAKE_OF_LATE]))


@pytest.mark.parametrize("due", [["r1"], ["r2"], ["gradient-norm"], ["drift"], ["dragan"], ["lecam"], OF_GRADIENTS])
def test_gradient_of_the_turn_by_finite_differences(due):
    """d loss / d weights, penalties included, along random directions (needs gradients of gradients)."""
    game, batch, fake, penalties = smooth_game(due)
    loss, _ = game.discriminator_turn(batch, fake, penalties)
    weights = dict(game.discriminator.named_parameters())
    gradients = dict(zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True))
    values = {name: value.detach() for name, value in weights.items()}

    def at(step, direction) -> float:
        moved = {name: value + step * direction[name] for name, value in values.items()}
        bent = LatentGame(game.generator, _Bound(game.discriminator, moved), game.loss, nullcontext())
        return bent.discriminator_turn(batch, fake, penalties)[0].double().item()

    for seed in range(3):
        torch.manual_seed(seed)
        direction = {name: torch.randn_like(value) for name, value in values.items()}
        small, large = ((at(h, direction) - at(-h, direction)) / (2 * h) for h in (5e-3, 1e-2))
        numeric = (4 * small - large) / 3  # Richardson: the error of second order cancels
        exact = sum((gradients[name] * direction[name]).sum().item() for name in values)
        assert numeric == pytest.approx(exact, rel=1e-3, abs=5e-4)
        assert abs(exact) > 1e-2  # a gradient of nothing would pass, too


class _Bound(nn.Module):
    """A network with other weights."""

    def __init__(self, network, weights) -> None:
        super().__init__()
        self.network, self.weights = network, weights

    def features(self, x, labels=None):
        return x

    def logits(self, features, labels=None):
        return functional_call(self.network, self.weights, (features,))


def test_weights_scale_penalties_and_stats_name_them():
    game, batch, fake, _ = smooth_game([])
    bare, stats = game.discriminator_turn(batch, fake, Moment())
    assert not any(name.startswith("penalty/") for name in stats)
    for name in CLOSED_FORM:
        game, batch, fake, due = smooth_game([name], weight=2.5)
        loss, stats = game.discriminator_turn(batch, fake, due)
        assert (loss - bare).item() == pytest.approx(2.5 * stats[f"penalty/{name}"].item(), rel=1e-4)


def test_penalties_leave_the_samples_alone():
    game, batch, fake, due = smooth_game(OF_GRADIENTS)
    before = batch.real.clone(), fake.clone()
    game.discriminator_turn(batch, fake, due)[0].backward()
    assert torch.equal(batch.real, before[0])
    assert torch.equal(fake, before[1])
    assert not batch.real.requires_grad
    assert not fake.requires_grad
    assert batch.real.grad is None


@pytest.mark.parametrize("flags", [(False, False), (True, False), (False, True)])
def test_samples_ask_for_gradients_only_where_a_penalty_needs_them(flags):
    names = [
        n for n, rule in PENALTIES.items() if n in CLOSED_FORM and (rule.real_gradient, rule.fake_gradient) == flags
    ]
    assert names
    seen = []
    game, batch, fake, due = smooth_game(names[:1])
    game.discriminator.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].requires_grad))
    game.discriminator_turn(batch, fake, due)
    assert tuple(seen[:2]) == flags
