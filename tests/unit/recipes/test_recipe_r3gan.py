import pytest
import torch

from organza.augment import GROUPS, _shares
from organza.config import Augment, ConfigError, Schedule, from_dict, to_dict
from organza.models import build, complete
from organza.recipes.r3gan import r3gan

SHAPES = [(1, 28, 28), (3, 64, 64), (4, 48, 32), (1, 32, 32)]


def gamma(config) -> tuple[float, float]:
    weight = config.discriminator.penalties[0].weight
    return 2 * weight.start, 2 * weight.end


@pytest.mark.parametrize("size", ["laptop", "paper"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_method(shape, size):
    config = r3gan(shape, size)
    assert config.loss == "relativistic"
    assert [p.name for p in config.discriminator.penalties] == ["r1", "r2"]
    assert all(p.every == 1 for p in config.discriminator.penalties)
    assert config.discriminator.penalties[0].weight == config.discriminator.penalties[1].weight
    assert not config.share_fakes
    assert config.generator.optimizer == config.discriminator.optimizer
    assert config.generator.optimizer.beta1 == 0
    assert from_dict(to_dict(config)) == config


@pytest.mark.parametrize(
    ("shape", "batch", "images", "burn_in", "lr", "gammas", "half_life", "augment", "widths"),
    [
        ((1, 32, 32), 512, 10e6, 2e6, (2e-4, 2e-4), (1, 0.1), 0.5e6, 0, (768,) * 4),
        ((3, 28, 28), 512, 10e6, 2e6, (2e-4, 2e-4), (0.766, 0.0766), 0.5e6, 0, (768,) * 3),
        ((3, 32, 32), 512, 250e6, 20e6, (2e-4, 5e-5), (0.05, 0.005), 5e6, 0.55, (768,) * 4),
        ((3, 64, 64), 256, 100e6, 20e6, (2e-4, 5e-5), (2, 0.2), 0.5e6, 0.3, (768, 768, 768, 768, 384)),
        ((3, 256, 256), 256, 200e6, 20e6, (2e-4, 5e-5), (150, 15), 0.5e6, 0.3, (768, 768, 768, 768, 384, 192, 96)),
    ],
)
def test_published_columns(shape, batch, images, burn_in, lr, gammas, half_life, augment, widths):
    config = r3gan(shape, "paper")
    optimizer = config.discriminator.optimizer
    assert (config.batch, config.images) == (batch, images)
    assert optimizer.lr == Schedule(start=lr[0], end=lr[1], images=int(burn_in), shape="cosine")
    assert optimizer.beta2 == Schedule(start=0.9, end=0.99, images=int(burn_in))
    assert config.ema.half_life == Schedule(start=0.0, end=half_life, images=int(burn_in))
    assert config.ema.ramp is None
    assert config.data.flip == bool(augment) == bool(config.augment.policy)
    if augment:
        assert config.augment.probability == Schedule(start=0.0, end=augment, images=int(burn_in), shape="cosine")
    assert gamma(config) == pytest.approx(gammas)
    assert config.generator.model.options["widths"] == widths


def test_the_published_augmentation_is_adas_with_half_the_colours():
    shares = _shares(r3gan((3, 256, 256), "paper").augment.policy)
    colours = {"brightness", "contrast", "lumaflip", "hue", "saturation"}
    assert shares == {
        name: 0.5 if name in colours else 1.0 for name in GROUPS["bgcfnc"] if name not in ("filter", "noise")
    }
    assert r3gan((3, 256, 256)).augment == Augment()


def test_gamma_grows_with_the_pixels():
    assert gamma(r3gan((1, 28, 28), "paper"))[0] == pytest.approx(28**2 / 32**2, rel=0.01)
    assert gamma(r3gan((3, 128, 128), "paper"))[0] == pytest.approx(150 / 4, rel=0.01)


@pytest.mark.parametrize("shape", [*SHAPES, (3, 1024, 1024), (3, 2048, 2048), (3, 26, 26)])
@pytest.mark.parametrize("size", ["laptop", "paper"])
def test_models_can_be_built_and_every_option_is_explicit(shape, size):
    config = r3gan(shape, size)
    for role in ("generator", "discriminator"):
        model = getattr(config, role).model
        with torch.device("meta"):
            build(model, role, shape, 0)
        assert set(complete(model, role).options) - set(model.options) <= {"embed_dim"}


def test_odd_sides_are_refused():
    with pytest.raises(ConfigError, match="27x27"):
        r3gan((1, 27, 27))


@pytest.mark.parametrize("size", ["laptop", "paper"])
def test_points_keep_the_loss_and_both_penalties(size):
    config = r3gan((2,), size)
    assert config.generator.model.name == config.discriminator.model.name == "mlp"
    assert config.loss == "relativistic"
    assert [penalty.name for penalty in config.discriminator.penalties] == ["r1", "r2"]
    assert not config.share_fakes
