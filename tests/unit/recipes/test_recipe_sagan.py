import pytest
import torch

from organza.config import ConfigError, from_dict, to_dict
from organza.layers.attention import SelfAttention2d
from organza.models import build
from organza.recipes.sagan import sagan
from organza.recipes.sngan import sngan
from organza.training.schedule import value_at

SHAPES = [(1, 28, 28), (3, 64, 64), (4, 48, 32), (1, 16, 16)]


def first_rate(player):
    return value_at(player.optimizer.lr, 0)


@pytest.mark.parametrize("size", ["laptop", "paper"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_method(shape, size):
    config = sagan(shape, size)
    assert config.loss == "hinge"
    assert config.generator.spectral_norm
    assert config.discriminator.spectral_norm
    assert config.generator.turns == config.discriminator.turns == 1
    assert first_rate(config.discriminator) == pytest.approx(4 * first_rate(config.generator))
    assert (config.generator.optimizer.beta1, config.generator.optimizer.beta2) == (0, 0.9)
    assert from_dict(to_dict(config)) == config


@pytest.mark.parametrize("size", ["laptop", "paper"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("classes", [0, 3])
def test_each_player_has_one_attention(shape, size, classes):
    config = sagan(shape, size)
    for role in ("generator", "discriminator"):
        with torch.device("meta"):
            network = build(getattr(config, role).model, role, shape, classes)
        assert sum(isinstance(module, SelfAttention2d) for module in network.modules()) == 1


def test_published_training():
    config = sagan((3, 128, 128), "paper")
    assert (config.batch, config.images) == (256, 256 * 1_000_000)
    assert (config.generator.optimizer.lr, config.discriminator.optimizer.lr) == (1e-4, 4e-4)
    for player, name in ((config.generator, "generator"), (config.discriminator, "discriminator")):
        same = getattr(sngan((3, 128, 128), "paper"), name).model
        assert player.model.options == {**same.options, "attention": 32}


def test_published_attention_is_on_32x32():
    config = sagan((3, 128, 128), "paper")
    with torch.device("meta"):
        generator = build(config.generator.model, "generator", (3, 128, 128), 10)
        discriminator = build(config.discriminator.model, "discriminator", (3, 128, 128), 10)
    assert [isinstance(m, SelfAttention2d) for m in generator.attention] == [False, False, True, False, False]
    assert [isinstance(m, SelfAttention2d) for m in discriminator.attention] == [False, True] + [False] * 4


def test_points_and_odd_sides_are_refused():
    for shape in ((2,), (1, 27, 27)):
        with pytest.raises(ConfigError):
            sagan(shape)
