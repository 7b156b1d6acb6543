import pytest
import torch
from engine_helpers import CPU, assert_equal_trees, small_config, small_store

from organza.config import ConfigError, Penalty, from_dict, to_dict
from organza.models import build, complete
from organza.models.progan import Growth
from organza.recipes.progan import progan
from organza.training.trainer import Trainer

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 64, 64), (4, 48, 32)]


@pytest.mark.parametrize("size", ["laptop", "paper"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_method(shape, size):
    config = progan(shape, size)
    assert config.loss == "wasserstein"
    assert config.generator.turns == config.discriminator.turns == 1
    assert config.discriminator.penalties == (
        Penalty(name="gradient-norm", weight=10.0), Penalty(name="drift", weight=0.001),
    )  # fmt: skip
    adam = config.generator.optimizer
    assert adam == config.discriminator.optimizer
    assert (adam.name, adam.beta1, adam.beta2, adam.eps) == ("adam", 0.0, 0.99, 1e-8)
    assert config.ema.ramp is None
    assert from_dict(to_dict(config)) == config


@pytest.mark.parametrize(
    ("side", "width", "images"), [(1024, 16, 13_600_000), (256, 64, 10_400_000), (64, 256, 7_200_000), (32, 512, 5.6e6)]
)
def test_published_numbers(side, width, images):
    config = progan((3, side, side), "paper")
    options = config.generator.model.options
    assert options == {"z_dim": 512, "width": width, "max_width": 512, "fade": 800_000, "stable": 800_000}
    assert config.discriminator.model.options["group"] == 4
    assert config.generator.optimizer.lr == 1e-3
    assert (config.batch, config.images) == (16, images)
    assert 0.5 ** (16 / config.ema.half_life) == pytest.approx(0.999, abs=1e-6)


@pytest.mark.parametrize("size", ["laptop", "paper"])
@pytest.mark.parametrize("shape", SHAPES)
def test_both_networks_grow_alike_and_grow_up(shape, size):
    config = progan(shape, size)
    generator, discriminator = config.generator.model.options, config.discriminator.model.options
    judge = dict(discriminator)
    assert (judge.pop("first"), judge.pop("blur"), judge.pop("group")) == (0, False, 4)  # G begins with level 0 too
    assert {k: v for k, v in generator.items() if k != "z_dim"} == judge
    top = {28: 2, 32: 3, 64: 4, 48: 3}[shape[1]]
    growth = Growth(top, generator["fade"], generator["stable"])
    assert growth.stage_at(config.images) == (top, 1.0)
    assert growth.stage_at(config.images - generator["stable"]) == (top, 1.0)
    assert growth.stage_at(generator["stable"]) == (0, 1.0)
    assert config.batch % discriminator["group"] == 0


@pytest.mark.parametrize("size", ["laptop", "paper"])
@pytest.mark.parametrize("shape", [*SHAPES, (3, 1024, 1024), (3, 4096, 4096), (1, 26, 26)])
def test_models_can_be_built_and_every_option_is_explicit(shape, size):
    config = progan(shape, size)
    for role in ("generator", "discriminator"):
        model = getattr(config, role).model
        with torch.device("meta"):
            build(model, role, shape, 0)
        assert complete(model, role) == model


def test_points_and_odd_sides_are_refused():
    for shape in ((2,), (1, 27, 27)):
        with pytest.raises(ConfigError):
            progan(shape)


def test_a_run_resumed_while_a_level_fades_in_goes_on_as_if_it_had_not_stopped():
    phases = {f"{role}.model.{phase}": 16 for role in ("generator", "discriminator") for phase in ("fade", "stable")}
    config = small_config("progan", phases)
    trainer, levels = Trainer(config, small_store(), CPU), []
    for _ in range(3):
        trainer.step()
    kept = trainer.state()
    resumed = Trainer(config, small_store(), CPU)
    resumed.restore(kept)
    for _ in range(6):  # from image 24 to 72
        trainer.step()
        resumed.step()
        levels.append(trainer.game.generator.growth.stage())
    assert levels == [(1, 0.5), (1, 1), (1, 1), (1, 1), (2, 0.5), (2, 1)]
    assert trainer.average.growth.stage() == resumed.game.discriminator.growth.stage() == (2, 1)
    assert_equal_trees(trainer.state(), resumed.state())
    assert trainer.guard.verdict() is None
