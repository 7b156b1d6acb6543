"""The tables of docs/families.md are those of the results, and its pictures are there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from engine_helpers import LATENT

from organza.recipes import MEASURED

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


def test_the_catalogue_names_the_measured_figures(benchmarks: None) -> None:
    """What `organza recipes` says of a recipe is the row of its own budget, else that of equal time."""
    from common import read_rows

    own = {(row["recipe"], row["data"]): row["frechet"] for row in read_rows("recipes")}
    timed = {(row["recipe"], row["data"]): (row["frechet"], row["minutes"]) for row in read_rows("families")}
    distances = {recipe: text for recipe, text in MEASURED.items() if ": FD " in text and "emoji 64" not in text}
    assert len(distances) > 18
    for recipe, text in distances.items():
        data, told, minutes = re.match(r"(\w+)(?: 32)?: FD ([\d.]+), \w+, 10k(?:, (\d+) minutes)?$", text).groups()
        found, within = timed[recipe, data] if minutes else (own[recipe, data], "")
        assert float(told) == pytest.approx(float(found), abs=0.0501), recipe
        assert not minutes or float(within) == float(minutes), recipe
