import pytest

from organza.config import Penalty, Schedule, from_dict, to_dict
from organza.models import build, complete
from organza.recipes.wgan_gp import wgan_gp


@pytest.mark.parametrize("size", ["laptop", "paper"])
def test_the_method(size):
    config = wgan_gp((3, 32, 32), size)
    assert config.loss == "wasserstein"
    assert config.discriminator.turns == 5
    assert config.generator.turns == 1
    assert config.discriminator.penalties == (Penalty(name="gradient-norm", weight=10.0),)
    assert not config.share_fakes
    assert (config.generator.optimizer.beta1, config.generator.optimizer.beta2) == (0.0, 0.9)
    assert from_dict(to_dict(config)) == config


def test_published_numbers():
    config = wgan_gp((3, 32, 32), "paper")
    lr = config.discriminator.optimizer.lr
    assert lr == Schedule(start=2e-4, end=0.0, images=32_000_000, shape="linear")
    assert config.images == 32_000_000
    assert config.batch == 64
    assert config.generator.model.options["width"] == config.discriminator.model.options["width"] == 128


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64), (4, 48, 32)])
def test_models_can_be_built_and_every_option_is_explicit(shape):
    config = wgan_gp(shape)
    for role in ("generator", "discriminator"):
        model = getattr(config, role).model
        build(model, role, shape, 0)
        assert set(complete(model, role).options) - set(model.options) <= {"embed_dim"}
