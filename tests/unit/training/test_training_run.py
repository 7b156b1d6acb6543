"""The run folder when its files are not whole."""

import pytest

from organza.config import ConfigError, to_dict
from organza.recipes import RECIPES
from organza.training.run import Run, write_json


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "run", RECIPES["dcgan"]((1, 28, 28), "laptop"))


@pytest.mark.parametrize("text", ['{"torn', "null", "[1, 2]", '{"no_field": 1}'])
def test_a_damaged_configuration_names_its_file(run, text):
    (run.path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json is no configuration of a run"):
        Run(run.path)


@pytest.mark.parametrize("text", ['{"torn', "null", "[1, 2]", ""])
def test_a_damaged_summary_is_none(run, text):
    write_json(run.path / "config.json", to_dict(run.config))
    (run.path / "summary.json").write_text(text)
    assert Run(run.path).summary == {}
