"""What docs/stylegan.md tells to add is a configuration that can be built and takes a step; its recipes exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from engine_helpers import CPU, shrunk, small_store

from organza.config import override
from organza.evaluation import METRICS
from organza.recipes import RECIPES
from organza.training.assemble import resolve
from organza.training.trainer import Trainer

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "stylegan.md").read_text()
ADDED = re.findall(r"^\| `(--[^`]+)`", PAGE, re.M)
TYPED = re.findall(r"^    organza (train .+)$", PAGE, re.M)


@pytest.mark.parametrize("command", [command for command in ADDED if "compile" not in command])
def test_what_is_added_takes_a_step(command: str) -> None:
    words = shlex.split(command)
    asked = dict(zip((word.removeprefix("--") for word in words[::2]), words[1::2], strict=True))
    config = resolve(override(RECIPES["stylegan2-ada"]((1, 16, 16), "laptop"), shrunk("stylegan2-ada") | asked))
    trainer = Trainer(config, small_store(), CPU)
    trainer.step()
    assert trainer.guard.verdict() is None
    assert trainer.images == config.batch


def test_the_page_has_commands_of_every_kind() -> None:
    assert len(ADDED) >= 7
    assert len(TYPED) >= 3
    assert {command.split()[1] for command in TYPED} <= RECIPES.keys()
    first = {row for row in re.findall(r"^\| `(stylegan[^`]*)` \| \[", PAGE, re.M)}
    assert first == {recipe for recipe in RECIPES if recipe.startswith("stylegan")}


def test_what_is_evaluated_exists() -> None:
    metrics = " ".join(re.findall(r"^    organza evaluate .*--metrics ([a-z -]+?) --", PAGE, re.M)).split()
    assert metrics == ["eq-t", "eq-t-frac", "eq-r"]
    assert set(metrics) <= METRICS.keys()


def test_links_of_the_page_exist() -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", PAGE)
    assert [link for link in links if not link.startswith("http") and not (DOCS / link).exists()] == []
