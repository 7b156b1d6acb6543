import dataclasses
import json
import re
from typing import Literal

import pytest

from organza.config import (
    Config,
    ConfigError,
    Model,
    Penalty,
    Schedule,
    coerce,
    difference,
    from_dict,
    override,
    to_dict,
)  # fmt: skip
from organza.recipes import RECIPES
from organza.training.assemble import resolve


@pytest.fixture
def config() -> Config:
    return RECIPES["r3gan"]((1, 28, 28), "laptop")


def test_round_trip_of_every_recipe_through_json():
    for name, recipe in RECIPES.items():
        for size in ("laptop", "paper"):
            config = recipe((1, 32, 32), size)
            again = from_dict(json.loads(json.dumps(to_dict(config))))
            assert again == config, name
            assert hash(again.data) == hash(config.data)


def test_configurations_cannot_be_changed(config):
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.batch = 3


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("batch", "32", 32),
        ("batch", "1e3", 1000),
        ("images", "200_000", 200_000),
        ("share_fakes", "true", True),
        ("share_fakes", "False", False),
        ("loss", "wasserstein", "wasserstein"),
        ("generator.optimizer.lr", "1e-3", 1e-3),
        ("generator.optimizer.lr", 1, 1.0),
        ("generator.clip", "none", None),
        ("generator.clip", "0.5", 0.5),
        ("data.resolution", "64", (64, 64)),
        ("data.resolution", "48,32", (48, 32)),
        ("data.resolution", "48x32", (48, 32)),
        ("data.resolution", (48, 32), (48, 32)),
        ("ema.ramp", None, None),
        ("discriminator.penalties.r1.weight", "3", 3.0),
        ("discriminator.penalties.1.every", 4, 4),
        ("generator.optimizer.lr", Schedule(start=1, end=0, images=5), Schedule(start=1, end=0, images=5)),
    ],
)
def test_override(config, path, value, expected):
    node = override(config, {path: value})
    for key in path.split("."):
        node = node[{"r1": 0, "1": 1}[key]] if isinstance(node, tuple) else getattr(node, key)
    assert node == expected
    assert type(node) is type(expected)


@pytest.mark.parametrize(("value", "expected"), [("3", 3), (1, 1), ("1", 1), ("auto", "auto")])
def test_a_word_means_the_number_of_a_list_of_allowed_values(value, expected):
    found = coerce(value, Literal[1, 3, "auto"], "kernel")
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("value", [2, "2", True, 1.5, None, "x"])
def test_other_numbers_and_words_are_refused(value):
    with pytest.raises(ConfigError, match="kernel is"):
        coerce(value, Literal[1, 3, "auto"], "kernel")


def test_override_changes_nothing_else(config):
    changed = override(config, {"batch": 8, "generator.model.z_dim": 16})
    assert difference(config, changed) == ["batch: 16 -> 8", "generator.model.z_dim: 64 -> 16"]
    assert difference(config, config) == []
    assert override(config, {}) == config


def test_penalties_by_name(config):
    changed = override(config, {"discriminator.penalties": "r1,drift"})
    r1 = next(penalty for penalty in config.discriminator.penalties if penalty.name == "r1")
    assert r1.weight != 1
    assert changed.discriminator.penalties == (r1, Penalty(name="drift", weight=1.0))  # its weight is kept
    assert override(config, {"discriminator.penalties": ["drift", "r1"]}).discriminator.penalties == (
        Penalty(name="drift", weight=1.0), r1,
    )  # fmt: skip
    anew = [{"name": "r1", "weight": 3.0}]
    assert override(config, {"discriminator.penalties": anew}).discriminator.penalties[0].weight == 3
    assert override(config, {"discriminator.penalties": "none"}).discriminator.penalties == ()
    assert override(config, {"discriminator.penalties": ()}).discriminator.penalties == ()


WEIGHT = "discriminator.penalties.gradient-norm.weight"


@pytest.mark.parametrize("path", ["noise.start", "top_k.end", "generator.optimizer.lr.images", f"{WEIGHT}.start"])
def test_what_a_number_that_is_no_schedule_is_told_to_type_helps(path):
    config = RECIPES["wgan-gp"]((1, 28, 28), "laptop")
    with pytest.raises(ConfigError, match=f"no field '{path}': .* is the number .*as JSON") as caught:
        override(config, {path: "0.3"})
    field, typed = re.search(r"--(\S+) '(\{.*\})'$", str(caught.value)).groups()
    changed = resolve(override(config, {field: typed}))
    assert path.startswith(field)
    moved = override(changed, {path: 7})  # now it has such a field
    assert difference(changed, moved)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("bath", 3, "batch"),
        ("generator.optimiser.lr", 1, "optimizer"),
        ("generator.optimizer.beta1.start", 1, "beta1"),
        ("batch", "many", "whole number"),
        ("batch", 2.5, "whole number"),
        ("batch", True, "whole number"),
        ("batch", "inf", "whole number"),
        ("share_fakes", "maybe", "true or false"),
        ("share_fakes", 1, "true or false"),
        ("ema.half_life", "nan", "number"),
        ("generator.optimizer.lr", "inf", "number"),
        ("discriminator.penalties.r1.weight", "-inf", "number"),
        ("precision", "float16", "bfloat16"),
        ("discriminator.penalties.r7.weight", 1, "did you mean"),
        ("discriminator.penalties.-1.weight", 1, "r1"),
        ("discriminator.penalties.r1", 3.0, "r1"),
        ("generator.penalties.0.weight", 1, "empty"),
        ("data.resolution", "1,2,3", "2 values"),
        ("data.resolution", "1x2x3", "2 values"),
        ("data.resolution", "48x", "a whole number"),
        ("", 1, "field"),
        ("generator", 3, "fields"),
        ("generator.optimizer", '{"lr": ', "JSON"),
        ("generator.optimizer.lr", {"start": 1.0}, "number"),
        ("generator.model", {"width": 3}, "name"),
        ("discriminator.penalties", [{"name": "r1"}], "weight"),
    ],
)
def test_mistakes_are_config_errors_that_name_the_place(config, path, value, told):
    with pytest.raises(ConfigError) as caught:
        override(config, {path: value})
    assert told in str(caught.value)


@pytest.mark.parametrize("values", [{}, {"recipe": "x"}, [], 3, None, {"recipe": "x", "generator": {}}])
def test_incomplete_files_are_config_errors(values):
    with pytest.raises(ConfigError):
        from_dict(values)


def test_unknown_fields_of_a_file_are_refused(config):
    with pytest.raises(ConfigError, match="batch"):
        from_dict(to_dict(config) | {"bach": 3})


def test_coerce_is_idempotent(config):
    assert coerce(config, Config, "config") is config
    assert coerce(to_dict(config), Config, "config") == config


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "hinge-ish"},
        {"game": "chess"},
        {"discriminator.penalties": "r9"},
        {"generator.model.name": "stylegan99"},
        {"generator.model.wdth": 3},
        {"batch": 0},
        {"batch": -8},
        {"images": 0},
        {"accumulate": 0},
        {"batch": 9, "accumulate": 2},
        {"generator.turns": 0},
        {"output.log": 0},
        {"discriminator.penalties.r1.every": 0},
        {"share_fakes": True, "accumulate": 2},
        {"share_fakes": True, "discriminator.turns": 2},
        {"generator.penalties": "r1"},
    ],
)
def test_what_cannot_work_is_refused(config, changes):
    with pytest.raises(ConfigError):
        resolve(override(config, changes))


def test_resolve_writes_every_option_out(config):
    complete = resolve(override(config, {"generator.model": Model(name="dcgan")}))
    assert complete.generator.model.options.keys() == {"z_dim", "width", "max_width", "upsample", "norm", "slope"}
    assert resolve(complete) == complete
