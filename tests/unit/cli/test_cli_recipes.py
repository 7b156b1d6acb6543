import json
import re

import pytest

from organza.cli.fields import fields_of, meanings, typed
from organza.cli.recipes import _paper, words_of
from organza.cli.train import FIXED, FLAGS
from organza.cli.words import split
from organza.config import ConfigError, _flat, from_dict, override, to_dict
from organza.models import complete
from organza.recipes import MEASURED, RECIPES
from organza.training.assemble import resolve


def configs():
    for name, recipe in RECIPES.items():
        for size in ("laptop", "paper"):
            for shape in ((1, 28, 28), (3, 64, 64), (2,)):
                try:
                    yield name, shape, size, recipe(shape, size)
                except ConfigError:
                    assert name != "gan"


def test_what_is_shown_can_be_typed_back():
    """Every field of every recipe is listed, and its words mean the value that it has."""
    seen = 0
    for name, shape, size, config in configs():
        known, changes = split(words_of(config), FIXED, FLAGS)
        changes |= {"data.source": config.data.source, "images": str(config.images), "seed": str(config.seed)}
        assert {word.split("=")[0] for word in known} <= {"--images", "--seed"}
        assert resolve(override(RECIPES[name](shape, size), changes)) == resolve(config)
        listed = {re.sub(r"\.penalties\..*", ".penalties", field.path) for field in fields_of(config)}
        assert listed == set(_flat(to_dict(config))) - {"recipe"}
        seen += 1
    assert seen > 15


def test_recipes_write_every_option_out_so_that_the_list_is_complete():
    for _, _, _, config in configs():
        for role in ("generator", "discriminator"):
            model = getattr(config, role).model
            missing = set(complete(model, role).options) - set(model.options)
            assert missing <= {"embed_dim"}  # of labels, which most runs do not have


def test_every_field_has_a_meaning():
    for _, _, _, config in configs():
        silent = [f.path for f in fields_of(config) if not f.meaning and ".model." not in f.path]
        assert not silent
    assert meanings()["Config"]["batch"].startswith("real images")


def test_values_as_they_are_typed():
    values = [True, None, (96, 48), (), 1e-3, "adam"]
    assert [typed(value) for value in values] == ["true", "none", "96,48", "none", "0.001", "adam"]


def test_the_table_has_a_column_of_results_when_there_are_some(organza, monkeypatch):
    said = organza("recipes")
    assert said.code == 0
    assert "arXiv:1511.06434" in said.out
    assert "2015" in said.out
    assert "wasserstein + gradient-norm" in said.out
    monkeypatch.setattr("organza.cli.recipes.MEASURED", {})
    assert "measured" not in organza("recipes").out
    monkeypatch.setattr("organza.cli.recipes.MEASURED", {"dcgan": "FD 9.87"})
    assert "FD 9.87" in organza("recipes").out
    assert set(MEASURED) <= set(RECIPES)


def test_a_recipe_has_its_own_paper_where_two_share_a_file():
    assert _paper("stylegan2")[1:] == ("2020", "arXiv:1912.04958")
    assert _paper("stylegan2-ada") == ("Training Generative Adversarial Networks with Limited Data", "2020",
                                       "arXiv:2006.06676")  # fmt: skip
    assert all(all(_paper(name)) for name in RECIPES)


def test_one_recipe(organza):
    said = organza("recipes", "r3gan", "--size", "paper", "--data", "3,64,64")
    assert "The GAN is dead" in said.out
    assert "--discriminator.penalties.r1.weight.start 1.0" in said.out
    assert "organza train r3gan --size paper" in said.out
    config = from_dict(json.loads(organza("recipes", "r3gan", "--json").out))
    assert config == RECIPES["r3gan"]((1, 28, 28), "laptop")
    assert set(json.loads(organza("recipes", "--json").out)) == set(RECIPES)
    assert "--data.source ring" in organza("recipes", "gan", "--data", "ring").out
    assert to_dict(config)["data"]["source"] == "mnist"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dcgn"], "did you mean 'dcgan'?"),
        (["dcgan", "--size", "big"], "laptop or paper"),
        (["dcgan", "--data", "3,7"], "a shape is C,H,W"),
        (["dcgan", "--data", "nowhere"], "neither a name nor an existing path"),
    ],
)
def test_mistakes(organza, words, message):
    said = organza("recipes", *words)
    assert said.code == 2
    assert message in said.err
