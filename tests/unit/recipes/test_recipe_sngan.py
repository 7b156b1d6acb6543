import pytest
import torch

from organza.config import ConfigError, Schedule, from_dict, to_dict
from organza.models import build
from organza.recipes.sngan import sngan

SHAPES = [(1, 28, 28), (3, 64, 64), (4, 48, 32), (1, 16, 16), (3, 8, 8)]


@pytest.mark.parametrize("size", ["laptop", "paper"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_method(shape, size):
    config = sngan(shape, size)
    assert config.loss == "hinge"
    assert config.discriminator.spectral_norm
    assert not config.generator.spectral_norm
    assert not config.conditional
    assert config.generator.penalties == config.discriminator.penalties == ()
    assert (config.generator.optimizer.beta1, config.generator.optimizer.beta2) == (0, 0.9)
    assert config.generator.model.options["attention"] == config.discriminator.model.options["attention"] == 0
    assert from_dict(to_dict(config)) == config
    for role in ("generator", "discriminator"):
        with torch.device("meta"):
            build(getattr(config, role).model, role, shape, 0)


def test_published_training():
    config = sngan((3, 32, 32), "paper")
    assert (config.batch, config.discriminator.turns, config.images) == (64, 5, 100_000 * 5 * 64)
    rate = Schedule(start=2e-4, end=0.0, images=config.images, shape="linear")
    assert config.generator.optimizer.lr == config.discriminator.optimizer.lr == rate
    assert config.ema.half_life == 0


@pytest.mark.parametrize(
    ("shape", "generator", "discriminator", "downs"),
    [
        ((3, 32, 32), (256,) * 4, (128,) * 4, 2),
        ((1, 28, 28), (256,) * 3, (128,) * 4, 2),
        ((3, 48, 48), (512, 256, 128, 64), (64, 128, 256, 512, 1024), 4),
        ((3, 64, 64), (1024, 512, 256, 128, 64), (64, 128, 256, 512, 1024), 4),
        ((3, 128, 128), (1024, 1024, 512, 256, 128, 64), (64, 128, 256, 512, 1024, 1024), 5),
    ],
)
def test_published_widths(shape, generator, discriminator, downs):
    config = sngan(shape, "paper")
    assert config.generator.model.options["widths"] == generator
    assert config.discriminator.model.options["widths"] == discriminator
    assert config.discriminator.model.options["downs"] == downs


@pytest.mark.parametrize("size", ["laptop", "paper"])
def test_points_keep_the_loss_and_the_norm(size):
    config = sngan((2,), size)
    assert config.generator.model.name == config.discriminator.model.name == "mlp"
    assert (config.loss, config.share_fakes) == ("hinge", False)
    assert (config.discriminator.spectral_norm, config.discriminator.turns) == (True, 3)


def test_odd_sides_are_refused():
    with pytest.raises(ConfigError, match="27x27"):
        sngan((1, 27, 27))
