"""The recipes of the StyleGAN family against the published tables, for every size."""

import dataclasses

import pytest
import torch

from organza.config import ConfigError, Penalty, Schedule, from_dict, to_dict
from organza.models import build, complete
from organza.recipes import RECIPES
from organza.recipes.stylegan import stylegan
from organza.recipes.stylegan2 import stylegan2, stylegan2_ada
from organza.recipes.stylegan3 import stylegan3_r, stylegan3_t
from organza.training.assemble import resolve
from organza.training.schedule import value_at

FAMILY = {
    "stylegan": stylegan, "stylegan2": stylegan2, "stylegan2-ada": stylegan2_ada, "stylegan3-t": stylegan3_t,
    "stylegan3-r": stylegan3_r,
}  # fmt: skip
SIDES = (64, 128, 256, 512, 1024)


def of(name, side, size="paper"):
    return FAMILY[name]((3, side, side), size)


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("size", ["laptop", "paper"])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 64, 48), (4, 256, 256), (3, 1024, 1024)])
@pytest.mark.parametrize("classes", [0, 3])
def test_models_can_be_built_with_and_without_labels_and_every_option_is_explicit(name, size, shape, classes):
    config = FAMILY[name](shape, size)
    assert RECIPES[name] is FAMILY[name]
    assert config.recipe == name
    assert from_dict(to_dict(config)) == config
    assert resolve(config) == config
    for role in ("generator", "discriminator"):
        model = getattr(config, role).model
        with torch.device("meta"):
            build(model, role, shape, classes)
        assert complete(model, role) == model
    group = config.discriminator.model.options["group"]
    assert config.batch % min(group, config.batch) == 0


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("side", SIDES)
def test_what_all_have_in_common(name, side):
    config = of(name, side)
    assert config.loss == "non-saturating"
    assert config.images == 25_000_000
    assert [config.generator.turns, config.discriminator.turns] == [1, 1]
    for player, every in ((config.generator, 4), (config.discriminator, 16)):
        lazy = max([p.every for p in player.penalties], default=1)
        assert lazy in (1, every)
        adam, share = player.optimizer, lazy / (lazy + 1) if lazy > 1 else 1
        assert (adam.name, adam.beta1, adam.eps, adam.weight_decay) == ("adam", 0.0, 1e-8, 0.0)
        assert adam.beta2 == pytest.approx(0.99**share)
    assert config.augment.policy == (("bgc",) if name == "stylegan2-ada" else ())


@pytest.mark.parametrize(
    ("side", "rate", "width"),
    [(64, 1e-3, 256), (128, 1.5e-3, 128), (256, 2e-3, 64), (512, 3e-3, 32), (1024, 3e-3, 16)],
)
def test_stylegan(side, rate, width):
    config = of("stylegan", side)
    maker = config.generator.model.options
    assert config.generator.optimizer == config.discriminator.optimizer
    assert config.generator.optimizer.lr == rate
    assert maker == {
        "z_dim": 512, "w_dim": 512, "mapping_layers": 8, "mixing": 0.9, "width": width, "max_width": 512,
        "fade": 600_000, "stable": 600_000, "first": 1,
    }  # fmt: skip
    judge = config.discriminator.model.options
    assert (judge["blur"], judge["group"], judge["first"], judge["width"]) == (True, 4, 1, width)
    assert config.discriminator.penalties == (Penalty(name="r1", weight=5.0),)  # gamma 10, halved, in every turn


PUBLISHED = {  # batch, group, channels x resolution, rate, gamma, half-life in thousands, ramp, layers of the mapping
    ("stylegan2", 256): (64, 8, 16_384, 0.0025, 1.0, 20, None, 8),
    ("stylegan2", 512): (64, 8, 32_768, 0.0025, 0.5, 20, None, 8),
    ("stylegan2", 1024): (32, 4, 32_768, 0.002, 2.0, 10, None, 8),
    ("stylegan2", 64): (32, 4, 16_384, 0.0025, 0.0002 * 64**2 / 32, 10, 0.05, 2),
    ("stylegan2", 128): (32, 4, 16_384, 0.0025, 0.0002 * 128**2 / 32, 10, 0.05, 2),
    ("stylegan2-ada", 256): (16, 4, 16_384, 0.0025, 0.0002 * 256**2 / 16, 5, 0.05, 2),
    ("stylegan2-ada", 512): (8, 4, 32_768, 0.0025, 0.0002 * 512**2 / 8, 2.5, 0.05, 2),
    ("stylegan2-ada", 1024): (4, 4, 32_768, 0.002, 0.0002 * 1024**2 / 4, 1.25, 0.05, 2),
}


@pytest.mark.parametrize(("name", "side"), PUBLISHED)
def test_stylegan2(name, side):
    config, (batch, group, base, rate, gamma, half_life, ramp, layers) = of(name, side), PUBLISHED[name, side]
    maker, judge = config.generator.model.options, config.discriminator.model.options
    assert (config.batch, judge["group"], config.ema.ramp) == (batch, group, ramp)
    assert config.ema.half_life == pytest.approx(1000 * half_life)
    assert maker["width"] == judge["width"] == base // side
    assert maker["max_width"] == judge["max_width"] == 512
    assert config.generator.optimizer.lr == pytest.approx(rate * 4 / 5)
    assert config.discriminator.optimizer.lr == pytest.approx(rate * 16 / 17)
    (r1,), (length,) = config.discriminator.penalties, config.generator.penalties
    assert (r1.name, r1.every, r1.weight) == ("r1", 16, pytest.approx(gamma / 2))
    assert (length.name, length.every, length.weight) == ("path-length", 4, 2.0)
    assert (maker["mapping_layers"], judge["mapping_layers"]) == (layers, 8)  # D's labels always have all eight
    assert (maker["arch"], judge["arch"], maker["mixing"]) == ("skip", "resnet", 0.9)
    assert (maker["z_dim"], maker["w_dim"]) == (512, 512)


def test_the_set_up_of_cifar10():
    config = of("stylegan2", 32)
    assert (config.batch, config.images, config.ema.half_life) == (64, 100_000_000, 500_000)
    for recipe, shape in (("stylegan2-ada", (3, 32, 32)), ("stylegan2-ada", (1, 28, 28)), ("stylegan2", (1, 28, 28))):
        found = RECIPES[recipe](shape, "paper")  # auto, and its budget
        assert (found.batch, found.discriminator.model.options["group"], found.images) == (32, 4, 25_000_000)
    assert config.discriminator.model.options["group"] == 32
    assert config.discriminator.model.options["arch"] == "orig"
    assert config.generator.model.options["mixing"] == 0
    assert config.generator.penalties == ()
    assert config.generator.optimizer.lr == 0.0025  # no lazy penalty, no correction
    assert config.discriminator.penalties[0].weight == pytest.approx(0.005)


def test_adaptive_augmentation():
    for side in SIDES:
        augment = of("stylegan2-ada", side).augment
        assert (augment.policy, augment.target, augment.probability, augment.speed) == (("bgc",), 0.6, 0.0, 500_000)
    assert dataclasses.replace(of("stylegan2-ada", 64), recipe="stylegan2", augment=of("stylegan2", 64).augment) == (
        of("stylegan2", 64)
    )


@pytest.mark.parametrize(("side", "gamma"), [(128, 0.5), (256, 2), (512, 8), (1024, 32)])
def test_stylegan3(side, gamma):
    for name, more in (("stylegan3-t", 1), ("stylegan3-r", 2)):
        config, base = of(name, side), 32_768 if side >= 512 else 16_384
        maker, judge = config.generator.model.options, config.discriminator.model.options
        assert config.batch == 32
        assert (config.generator.optimizer.lr, config.discriminator.optimizer.lr) == (0.0025, 0.002 * 16 / 17)
        assert config.generator.penalties == ()
        (r1,) = config.discriminator.penalties
        assert (r1.name, r1.every, r1.weight) == ("r1", 16, pytest.approx(gamma / 2))
        assert (maker["width"], maker["max_width"]) == (base * more // side, 512 * more)
        assert (judge["width"], judge["max_width"], judge["mapping_layers"]) == (base // side, 512, 8)
        assert (maker["kernel"], maker["radial"]) == ((3, False), (1, True))[more - 1]
        assert (maker["layers"], maker["critical"], maker["margin"], maker["taps"]) == (14, 2, 10, 6)
        assert (maker["first_cutoff"], maker["first_stopband"], maker["last_stopband"]) == (2, 2**2.1, 2**0.3)
        assert (maker["output_scale"], maker["clamp"], maker["mapping_layers"]) == (0.25, 256, 2)
        assert maker["magnitude_decay"] == pytest.approx(0.5 ** (32 / 20_000))
        assert (config.ema.half_life, config.ema.ramp) == (10_000, 0.05)


def test_what_d_sees_of_r_is_blurred_at_first():
    assert of("stylegan3-t", 256).blur == 0
    blur = of("stylegan3-r", 256).blur
    assert isinstance(blur, Schedule)
    assert [value_at(blur, images) for images in (0, 100_000, 200_000, 10**7)] == [10, 5, 0, 0]


@pytest.mark.parametrize("name", FAMILY)
def test_points_and_odd_sides_are_refused(name):
    with pytest.raises(ConfigError):
        FAMILY[name]((2,))
    maker = FAMILY[name]((3, 32, 32)).generator.model
    with pytest.raises(ConfigError, match=r"--data\.resolution"):
        build(maker, "generator", (1, 27, 27), 0)
