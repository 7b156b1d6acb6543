import pytest
import torch

from organza.config import Augment, ConfigError, from_dict, to_dict
from organza.models import build, complete
from organza.recipes.fastgan import fastgan

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 64, 64), (4, 48, 32)]


@pytest.mark.parametrize("size", ["laptop", "paper"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_method(shape, size):
    config = fastgan(shape, size)
    assert config.loss == "hinge"
    assert config.generator.spectral_norm
    assert config.discriminator.spectral_norm
    assert [p.name for p in config.discriminator.penalties] == ["reconstruction"]
    assert config.augment == Augment(policy=("diffaugment",), probability=1.0)
    assert config.share_fakes
    assert config.generator.turns == config.discriminator.turns == 1
    adam = config.generator.optimizer
    assert adam == config.discriminator.optimizer
    assert (adam.beta1, adam.beta2) == (0.5, 0.999)
    assert from_dict(to_dict(config)) == config


def test_published_numbers():
    config = fastgan((3, 256, 256), "paper")
    assert config.generator.model.options == {"z_dim": 256, "width": 64}
    assert config.discriminator.model.options == {"width": 64}
    assert config.generator.optimizer.lr == 2e-4
    assert (config.batch, config.images) == (8, 50_000 * 8)
    assert 0.5 ** (8 / config.ema.half_life) == pytest.approx(0.999, abs=1e-6)
    assert config.data.flip
    assert not fastgan((1, 256, 256), "paper").data.flip


@pytest.mark.parametrize("size", ["laptop", "paper"])
@pytest.mark.parametrize("shape", [*SHAPES, (3, 256, 256), (3, 1024, 1024)])
def test_models_can_be_built_and_every_option_is_explicit(shape, size):
    config = fastgan(shape, size)
    for role in ("generator", "discriminator"):
        model = getattr(config, role).model
        with torch.device("meta"):
            build(model, role, shape, 0)
        assert set(complete(model, role).options) - set(model.options) <= {"embed_dim"}


def test_points_are_refused():
    with pytest.raises(ConfigError):
        fastgan((2,))
