import math

import pytest
import torch

from organza.config import ConfigError, Penalty, from_dict, to_dict
from organza.layers.attention import SelfAttention2d
from organza.models import build
from organza.recipes.biggan import biggan, biggan_deep

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 64, 64), (4, 48, 32), (1, 16, 16), (3, 8, 8)]
RECIPES = [biggan, biggan_deep]


@pytest.mark.parametrize("size", ["laptop", "paper"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("recipe", RECIPES)
def test_the_method(recipe, shape, size):
    config = recipe(shape, size)
    assert config.loss == "hinge"
    assert config.conditional
    assert config.generator.spectral_norm
    assert config.discriminator.spectral_norm
    assert config.generator.penalties == (Penalty(name="orthogonal", weight=1e-4),)
    assert (config.generator.turns, config.discriminator.turns) == (1, 2)
    adam = config.generator.optimizer
    assert (adam.beta1, adam.beta2, adam.eps) == (0, 0.999, 1e-6)
    assert from_dict(to_dict(config)) == config
    for role in ("generator", "discriminator"):
        for classes in (0, 3):
            with torch.device("meta"):
                network = build(getattr(config, role).model, role, shape, classes)
            assert sum(isinstance(module, SelfAttention2d) for module in network.modules()) == 1


@pytest.mark.parametrize("recipe", RECIPES)
def test_published_training(recipe):
    config = recipe((3, 128, 128), "paper")
    assert (config.batch, config.images) == (2048, 150_000 * 2 * 2048)
    assert config.batch % config.accumulate == 0
    assert (config.generator.optimizer.lr, config.discriminator.optimizer.lr) == (5e-5, 2e-4)
    per_turn_of_g = config.batch * config.discriminator.turns
    assert math.exp(-math.log(2) * per_turn_of_g / config.ema.half_life) == pytest.approx(0.9999, abs=1e-7)
    assert config.ema.ramp * 20_000 * per_turn_of_g == pytest.approx(config.ema.half_life, rel=0.02)


@pytest.mark.parametrize(("side", "deep"), [(64, (5e-5, 2e-4)), (256, (2.5e-5, 2.5e-5)), (512, (2.5e-5, 2.5e-5))])
def test_published_rates_of_the_deep_one_fall_from_256x256_on(side, deep):
    """arXiv:1809.11096, appendix C."""
    for recipe, rates in ((biggan, (5e-5, 2e-4)), (biggan_deep, deep)):
        config = recipe((3, side, side), "paper")
        assert (config.generator.optimizer.lr, config.discriminator.optimizer.lr) == rates


@pytest.mark.parametrize(
    ("side", "generator", "discriminator", "z_dim"),
    [
        (64, (16, 16, 8, 4, 2), (1, 2, 4, 8, 16), 100),
        (128, (16, 16, 8, 4, 2, 1), (1, 2, 4, 8, 16, 16), 120),
        (256, (16, 16, 8, 8, 4, 2, 1), (1, 2, 4, 8, 8, 16, 16), 140),
        (512, (16, 16, 8, 8, 4, 2, 1, 1), (1, 1, 2, 4, 8, 8, 16, 16), 160),
        (1024, (16, 16, 16, 8, 8, 4, 2, 1, 1), (1, 1, 2, 4, 8, 8, 16, 16, 16), 180),
    ],
)
def test_published_widths(side, generator, discriminator, z_dim):
    for recipe, unit in ((biggan, 96), (biggan_deep, 128)):
        config = recipe((3, side, side), "paper")
        assert config.generator.model.options["widths"] == tuple(unit * m for m in generator)
        assert config.discriminator.model.options["widths"] == tuple(unit * m for m in discriminator)
    assert biggan((3, side, side), "paper").generator.model.options["z_dim"] == z_dim
    assert biggan_deep((3, side, side), "paper").generator.model.options["z_dim"] == 128


@pytest.mark.parametrize(
    ("recipe", "generator", "discriminator"),
    [(biggan, 70_433_988, 87_982_370), (biggan_deep, 50_244_484, 34_590_210)],
)
def test_the_published_size_is_what_paper_trains(recipe, generator, discriminator):
    config, counts = recipe((3, 128, 128), "paper"), []
    for role in ("generator", "discriminator"):
        with torch.device("meta"):
            network = build(getattr(config, role).model, role, (3, 128, 128), 1000)
        counts.append(sum(p.numel() for p in network.parameters()))
    assert counts == [generator, discriminator]


@pytest.mark.parametrize(("shape", "side"), [((3, 256, 256), 64), ((3, 128, 128), 64), ((3, 64, 64), 32)])
def test_attention_is_on_64x64_where_that_is_no_image(shape, side):
    config = biggan(shape, "paper")
    with torch.device("meta"):
        discriminator = build(config.discriminator.model, "discriminator", shape, 0)
    place = [isinstance(m, SelfAttention2d) for m in discriminator.attention].index(True)
    assert shape[1] >> (place + 1) == side


@pytest.mark.parametrize("recipe", RECIPES)
def test_points_and_odd_sides_are_refused(recipe):
    for shape in ((2,), (1, 27, 27)):
        with pytest.raises(ConfigError):
            recipe(shape)
