"""Schemes that put other weights in the place of a paper's own: their distribution."""

import math

import pytest
import torch
from engine_helpers import small_trainer
from scipy import stats
from torch import nn

from organza.config import ConfigError
from organza.layers.init import SCHEMES, initialise

CHANCE = 1e-3


class Plain(nn.Sequential):
    plain = ("2",)


def network() -> nn.Module:
    torch.manual_seed(0)
    return Plain(nn.Linear(40, 90), nn.Conv2d(8, 60, 3), nn.Linear(30, 30), nn.BatchNorm2d(6), nn.Embedding(20, 70))


def fans(weight: torch.Tensor) -> tuple[int, int]:
    return weight[0].numel(), len(weight) * weight[0, 0].numel()


def fits(weight: torch.Tensor, *distribution) -> bool:
    return stats.kstest(weight.detach().flatten().numpy(), *distribution).pvalue > CHANCE


def check(scheme: str, weight: torch.Tensor) -> bool:
    fan_in, fan_out = fans(weight)
    if scheme == "normal":
        return fits(weight, "norm", (0, 0.02))
    if scheme == "xavier":
        bound = math.sqrt(6 / (fan_in + fan_out))
        return fits(weight, "uniform", (-bound, 2 * bound))
    if scheme == "he":
        return fits(weight, "norm", (0, math.sqrt(2 / (1 + 0.2**2) / fan_in)))
    rows = weight.detach().flatten(1)
    rows = rows if len(rows) <= rows.shape[1] else rows.T
    return torch.allclose(rows @ rows.T, torch.eye(len(rows)), atol=1e-5)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weights_have_the_distribution_of_the_scheme_and_no_other(scheme):
    made = initialise(network(), scheme)
    for place in (0, 1, 4):
        assert [name for name in SCHEMES if check(name, made[place].weight)] == [scheme]
    assert made[0].bias.abs().max() == made[1].bias.abs().max() == 0


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_no_weight_or_called_plain_stays(scheme):
    before, made = network(), initialise(network(), scheme)
    assert torch.equal(made[2].weight, before[2].weight)
    assert torch.equal(made[2].bias, before[2].bias)
    assert made[3].weight.eq(1).all()


def test_own_leaves_everything():
    before, made = network().state_dict(), initialise(network(), "own").state_dict()
    assert all(torch.equal(before[name], tensor) for name, tensor in made.items())


def test_each_player_has_its_own_scheme():
    trainer = small_trainer("dcgan", {"generator.init": "orthogonal", "discriminator.init": "he"})
    assert check("orthogonal", trainer.game.generator.project.weight)
    assert not check("orthogonal", trainer.game.discriminator.layers[0].weight)
    assert trainer.game.discriminator.layers[0].weight.std().item() == pytest.approx(math.sqrt(2 / 1.04 / 16), rel=0.2)
    assert torch.equal(trainer.average.project.weight, trainer.game.generator.project.weight)


def test_a_scheme_without_any_weight_to_act_on_is_refused():
    with pytest.raises(ConfigError, match="init"):
        initialise(nn.Sequential(nn.BatchNorm2d(2)), "he")
