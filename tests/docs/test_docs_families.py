"""The tables of docs/families.md are those of the results, and its pictures are there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from engine_helpers import LATENT

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "families.md").read_text()
STYLEGAN = (ROOT / "docs" / "stylegan.md").read_text()


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    for name in ("common", "modes", "precision", "recipes", "stacked_mnist", "training_speed", "plain_loop"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_the_tables_are_those_of_the_results(benchmarks: None) -> None:
    import modes
    import precision
    import recipes
    import stacked_mnist
    import training_speed

    speed = training_speed.table(), training_speed.other_table()
    assert precision.table() in PAGE
    for table in (modes.table(), recipes.table(), stacked_mnist.table(), *speed):
        assert table.count("\n") > 7
        assert table in PAGE
    assert recipes.table(styled=True) in STYLEGAN


def test_every_recipe_is_in_the_tables(benchmarks: None) -> None:
    from recipes import STYLED, UNSTYLED

    assert {*STYLED, *UNSTYLED, "stylegan2-ada"} == set(LATENT)
    for recipe in STYLED:
        assert f"`{recipe}`" in STYLEGAN
    for recipe in UNSTYLED:
        assert f"| `{recipe}` | mnist |" in PAGE
        assert f"| `{recipe}` | emoji |" in PAGE


def test_the_pictures_are_there() -> None:
    pictures = re.findall(r"\((pictures/[^)]+)\)|src=\"(pictures/[^\"]+)\"", PAGE + STYLEGAN)
    found = {a or b for a, b in pictures}
    assert len(found) > 20
    assert all((ROOT / "docs" / name).is_file() for name in found)
