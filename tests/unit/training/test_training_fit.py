"""Recipes and networks fit themselves to samples; what no samples could mend is refused before any are read."""

import importlib
import re
from dataclasses import replace

import pytest
import torch
from engine_helpers import LATENT, shrunk, write_data

import organza
from organza import api
from organza.api import prepare
from organza.config import ConfigError, Data, Output, override
from organza.layers.equalized import EqualizedConv2d, EqualizedLinear
from organza.models import HALVING, MODELS, build, is_equalized
from organza.recipes import RECIPES
from organza.training.assemble import resolve
from organza.training.fit import fitted, refuse_early

CLIPPED = {"discriminator.weight_clip": 0.01, "discriminator.spectral_norm": True}
EARLY = [
    ("dcgan", "mnist", {"data.resolution": 29, **CLIPPED}, "spectral_norm divides"),
    ("dcgan", "mnist", CLIPPED, "spectral_norm divides"),
    ("dcgan", "a/folder", CLIPPED, "spectral_norm divides"),
    ("gan", "ring", CLIPPED, "spectral_norm divides"),
    ("progan", "mnist", {"data.resolution": 37}, "37x37 cannot be halved"),
    ("dcgan", "mnist", {"data.resolution": 37, "generator.model": "nogan"}, "unknown model 'nogan'"),
    (
        "dcgan",
        "mnist",
        {"data.resolution": 500, "discriminator.model": "stylegan2"},
        "halved to 125x125 and no further",
    ),
    ("dcgan", "a/folder", {"generator.model.widht": 8}, "did you mean 'width'"),
    ("dcgan", "a/folder", {"nose": 0.1}, "did you mean 'noise'"),
    ("sagan", "ring", {}, "this network makes images"),
    ("pix2pix", "a/folder", {"generator.penalties": "r1"}, "belongs to the discriminator"),
]


@pytest.mark.parametrize(("recipe", "data", "changes", "words"), EARLY)
def test_what_no_samples_could_mend_is_refused_before_any_are_read(recipe, data, changes, words, monkeypatch):
    monkeypatch.setattr(api, "open_for", lambda *_: pytest.fail("the data was opened"))
    with pytest.raises(ConfigError, match=words):
        prepare(recipe, data, "laptop", changes)


@pytest.mark.parametrize("size", ["laptop", "paper"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_no_recipe_is_refused_early(recipe, size, monkeypatch):
    """All come as far as to the data."""
    opened = []

    def open_for(config, progress):
        opened.append(config.data)
        raise LookupError

    monkeypatch.setattr(api, "open_for", open_for)
    for source, more in ((None, {}), ("a/folder", {}), *(("a/folder", {"data.resolution": n}) for n in (64, 256))):
        with pytest.raises(LookupError):
            prepare(recipe, source, size, more)
    assert [data.resolution for data in opened[2:]] == [(64, 64), (256, 256)]
    assert opened[1].source == "a/folder"


def test_what_some_samples_allow_is_not_refused_early():
    refuse_early("stylegan2", "paper", Data(source="a/folder"), {"generator.penalties.path-length.weight": 1})
    with pytest.raises(ConfigError, match="path-length"):
        fitted("stylegan2", (3, 32, 32), "paper", {"generator.penalties.path-length.weight": 1})
    refuse_early("progan", "laptop", Data(source="a/folder"), {})
    refuse_early("wgan-gp", "laptop", Data(source="points.csv"), {})


LARGE = [(66, 66), (250, 250), (500, 500), (1000, 1000), (720, 1280)]


@pytest.mark.parametrize("recipe", ["stylegan", "stylegan2", "stylegan2-ada", "progan", "r3gan"])
@pytest.mark.parametrize("sides", LARGE)
def test_a_base_of_hundreds_of_millions_of_weights_is_refused(recipe, sides):
    for size in ("laptop", "paper"):
        with pytest.raises(ConfigError, match=r"halved to .* and no further.*--data\.resolution"):
            fitted(recipe, (3, *sides), size, {})


@pytest.mark.parametrize("recipe", ["stylegan3-t", "stylegan3-r"])
@pytest.mark.parametrize(
    ("sides", "near"), zip(LARGE, ("64,64", "256,256", "512,512", "1024,1024", "768,1280"), strict=True)
)
def test_stylegan3_names_the_nearest_size_that_has_a_design(recipe, sides, near):
    maker = fitted(recipe, (3, *sides), "laptop", {}).generator.model
    with pytest.raises(ConfigError, match=f"type --data.resolution {near}$"):
        build(maker, "generator", (3, *sides), 0)


def test_every_network_that_halves_without_rounding_asks_for_a_small_base():
    """StyleGAN3, whose discriminator is StyleGAN2's, has a stricter rule of its own."""
    halving = {
        name for name, module in MODELS.items()
        if {"pyramid", "maps_of"} & vars(importlib.import_module(module)).keys()
    }  # fmt: skip
    assert halving == set(HALVING)


def test_a_run_from_before_keeps_its_networks():
    """`fitted` alone refuses: a saved configuration is resolved and built as it is."""
    config = fitted(
        "stylegan2", (3, 64, 64), "laptop", {"generator.model.max_width": 2, "discriminator.model.max_width": 2}
    )
    judge = build(resolve(config).discriminator.model, "discriminator", (3, 66, 66), 0)
    assert judge.b33.fc.weight.shape == (2, 2 * 33 * 33)


def test_a_network_that_is_named_alone_is_that_of_its_recipe():
    own = RECIPES["sngan"]((1, 28, 28), "laptop").generator.model.options
    config = fitted("dcgan", (1, 28, 28), "laptop", {"generator.model": "sngan", "generator.model.z_dim": "9"})
    assert config.generator.model.options == own | {"z_dim": 9}
    assert config.discriminator == fitted("dcgan", (1, 28, 28), "laptop", {}).discriminator


def test_a_network_with_options_beside_its_name_is_as_typed():
    config = fitted("dcgan", (1, 28, 28), "laptop", {"generator.model": '{"name": "progan", "width": 5}'})
    assert config.generator.model.options["width"] == 5
    assert config.generator.model.options["max_width"] == 512


def test_the_name_of_the_own_network_changes_nothing():
    config = RECIPES["wgan-gp"]((1, 28, 28), "laptop")
    assert override(config, {"generator.model": "dcgan", "discriminator.model": "dcgan"}) == config
    assert fitted("wgan-gp", (1, 28, 28), "laptop", {"discriminator.model": "dcgan"}) == fitted(
        "wgan-gp", (1, 28, 28), "laptop", {}
    )


GROWTH = [
    ("dcgan", {"generator.model": "stylegan", "discriminator.model": "stylegan"}, 5_000),
    ("dcgan", {"generator.model": "stylegan", "discriminator.model": "progan"}, 5_000),
    ("dcgan", {"generator.model": "progan"}, 10_000),
    ("progan", {"generator.model": "stylegan"}, 10_000),
    ("progan", {"discriminator.model": "stylegan"}, 10_000),
    ("dcgan", {"generator.model": "progan", "discriminator.model": "progan", "generator.model.fade": 77}, 77),
    ("dcgan", {"generator.model": "progan", "discriminator.model": "progan", "discriminator.model.fade": 77}, 77),
]


@pytest.mark.parametrize(("recipe", "changes", "fade"), GROWTH)
def test_networks_that_are_named_alone_grow_together(recipe, changes, fade):
    config = fitted(recipe, (3, 32, 32), "laptop", changes)
    told = [player.model.options.get("fade", fade) for player in (config.generator, config.discriminator)]
    assert told == [fade, fade]


def test_a_run_with_a_named_network_is_resumed_by_the_same_words(tmp_path):
    rest = {key: value for key, value in shrunk("dcgan").items() if not key.startswith("generator.model.")}
    typed = rest | {"generator.model": "progan", "generator.model.width": 4, "output.checkpoint": 16, "images": 16}
    data = write_data(tmp_path)
    organza.train("dcgan", data=data, out=tmp_path / "run", changes=typed, device="cpu")
    more = organza.train(out=tmp_path / "run", resume=True, changes=typed | {"images": 32}, device="cpu")
    assert more.summary["images"] == 32


def refused_points(recipe, changes) -> str:
    """What is said about points in a ring; "" where they are taken."""
    try:
        config = fitted(recipe, (2,), "laptop", changes)
        build(config.generator.model, "generator", (2,), 0)
        build(config.discriminator.model, "discriminator", (2,), 0)
    except ConfigError as problem:
        return str(problem)
    return ""


@pytest.mark.parametrize("changes", [{}, {"generator.model": "sngan"}, {"discriminator.model": "sngan"}], ids=str)
@pytest.mark.parametrize("recipe", LATENT)
def test_what_points_are_told_to_type_helps(recipe, changes):
    message = refused_points(recipe, changes)
    assert message or not changes
    if message:
        told = re.search(r"type the recipe '(\w+)' without another network.*such as (--.*)$", message)
        for typed in ({}, dict(re.findall(r"--([\w.]+) (\S+)", told[2]))):
            assert refused_points(told[1], typed) == ""


@pytest.mark.parametrize("role", ["generator", "discriminator"])
@pytest.mark.parametrize("name", MODELS)
def test_equalized_networks_say_so(name, role):
    model = getattr(fitted("dcgan", (3, 32, 32), "laptop", {f"{role}.model": name}), role).model
    with torch.device("meta"):
        network = build(model, role, (3, 32, 32), 0)
    scaled = any(isinstance(module, (EqualizedConv2d, EqualizedLinear)) for module in network.modules())
    assert is_equalized(name, role) == scaled


def test_pace_makes_images_and_schedules_shorter_together():
    """A short run has all its stages, where `--images` alone would cut the last one off."""
    usual, short = (fitted("esrgan", (3, 64, 64), "laptop", changes) for changes in ({}, {"pace": "0.1"}))
    assert (usual.images, short.images, short.pace) == (80_000, 8_000, 0.1)
    for pick in (lambda c: c.discriminator.optimizer.lr, lambda c: c.generator.penalties[1].weight):
        assert pick(short) == replace(pick(usual), images=4_000, hold=4_000)
    for recipe in ("progan", "stylegan"):  # growth too, else a short run would end before its last level
        usual, short = (fitted(recipe, (3, 32, 32), "laptop", changes) for changes in ({}, {"pace": 0.1}))
        for player in ("generator", "discriminator"):
            long, quick = (getattr(config, player).model.options for config in (usual, short))
            assert long["fade"] > 0
            assert [quick[name] * 10 for name in ("fade", "stable")] == [long[name] for name in ("fade", "stable")]
            assert quick.get("first") == long.get("first")
        assert short.images * 10 == usual.images
    named = {"pace": 0.1, "images": 9_000, "discriminator.optimizer.lr.images": 6_000}
    own = fitted("esrgan", (3, 64, 64), "laptop", named)
    assert (own.images, own.discriminator.optimizer.lr.images) == (9_000, 6_000)


def test_a_side_that_a_network_cannot_have_is_refused_before_images_are_resized():
    with pytest.raises(ConfigError, match="10x10"):
        refuse_early("fastgan", "laptop", Data(source="mnist", resolution=(10, 10)), {"data.resolution": (10, 10)})
    refuse_early("fastgan", "laptop", Data(source="mnist", resolution=(16, 16)), {"data.resolution": (16, 16)})


@pytest.mark.parametrize(
    ("pace", "expected"),
    [(0.1, (100, 1_000, 1_000)), (0.5, (500, 5_000, 5_000)), (0.01, (100, 1_000, 1_000)), (1, (1_000, 10_000, 10_000)),
     (3, (1_000, 10_000, 10_000))],
)  # fmt: skip
def test_a_short_run_is_written_more_often(pace, expected):
    """A tenth of the images has as many grids; a longer run is written no less often."""
    output = fitted("cut", (3, 64, 64), "laptop", {"pace": pace}).output
    assert (output.log, output.samples, output.checkpoint) == expected
    own = fitted("cut", (3, 64, 64), "laptop", {"pace": pace, "output.samples": 700}).output
    assert own == replace(output, samples=700)
    assert replace(output, log=1, samples=1, checkpoint=1) == Output(log=1, samples=1, checkpoint=1)
