"""Every command of docs/techniques.md is a configuration that can be built and takes a step."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from engine_helpers import CPU, shrunk, small_store

from organza.config import override
from organza.losses import LOSSES
from organza.penalties import PENALTIES
from organza.recipes import RECIPES
from organza.training.assemble import resolve
from organza.training.trainer import Trainer

PAGE = (Path(__file__).parents[2] / "docs" / "techniques.md").read_text()
TRANSLATION = (Path(__file__).parents[2] / "docs" / "translation.md").read_text()
COMMANDS = [cell for cell in re.findall(r"^\| `(--[^`]+)`", PAGE, re.M)]


def changes_of(command: str) -> dict[str, str]:
    words = shlex.split(command)
    return dict(zip((word.removeprefix("--") for word in words[::2]), words[1::2], strict=True))


def test_there_are_many() -> None:
    assert len(COMMANDS) > 30


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_takes_a_step(command: str) -> None:
    asked = changes_of(command)
    config = resolve(override(RECIPES["dcgan"]((1, 16, 16), "laptop"), shrunk("dcgan") | asked))
    trainer = Trainer(config, small_store(), CPU)
    trainer.step()
    assert trainer.guard.verdict() is None
    assert trainer.images == config.batch * config.discriminator.turns


def test_every_loss_and_penalty_is_told() -> None:
    for name in LOSSES:
        assert f"`{name}`" in PAGE or f"--loss {name}" in PAGE
    for name in PENALTIES:
        page = PAGE if PENALTIES[name].of == "all" and name != "smooth" else TRANSLATION
        assert re.search(rf"[ ,`]{name}[ ,`]", page), name


def test_links_of_the_page_exist() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert links
    assert [
        link for link in links if "://" not in link and not (Path(__file__).parents[2] / "docs" / link).exists()
    ] == []
