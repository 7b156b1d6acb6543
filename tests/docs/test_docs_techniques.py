"""Every command of docs/techniques.md is a configuration that can be built and takes a step."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch
from engine_helpers import CPU, newest, shrunk, small_store, write_data

import organza
from organza.cli import main
from organza.config import override
from organza.losses import LOSSES
from organza.penalties import PENALTIES
from organza.recipes import RECIPES
from organza.training.assemble import resolve
from organza.training.trainer import Trainer

PAGE = (Path(__file__).parents[2] / "docs" / "techniques.md").read_text()
TRANSLATION = (Path(__file__).parents[2] / "docs" / "translation.md").read_text()
COMMANDS = re.findall(r"^\| `((?:[a-z][\w-]* )?--[^`]+)`", PAGE, re.M)
FADING = re.findall(r"^\| `(--[\w.]+) [^`]+` .*`(\{[^`]+\})`", PAGE, re.M)
SHELL = re.findall(r"^    (organza .+)$", PAGE, re.M)


def parsed(command: str) -> tuple[str, dict[str, str]]:
    """The recipe that a command begins with, or dcgan, and its changes."""
    words = shlex.split(command)
    recipe = "dcgan" if words[0].startswith("--") else words.pop(0)
    return recipe, dict(zip((word.removeprefix("--") for word in words[::2]), words[1::2], strict=True))


def test_every_row_of_the_tables_is_there() -> None:
    rows = re.findall(r"^\| `", PAGE, re.M)
    assert len(COMMANDS) == len(rows) > 40
    assert {parsed(command)[0] for command in COMMANDS} == {"dcgan", "acgan", "infogan", "fastgan"}
    assert [field for field, _ in FADING] == ["--noise", "--blur", "--top_k"]
    assert len(FADING) == PAGE.count("`{")
    assert len(SHELL) == len(re.findall(r"^    \S", PAGE, re.M)) == 1


@pytest.mark.parametrize("command", [*COMMANDS, *(f"{field} '{schedule}'" for field, schedule in FADING)])
def test_the_command_takes_a_step(command: str) -> None:
    recipe, asked = parsed(command)
    config = resolve(override(RECIPES[recipe]((1, 16, 16), "laptop"), shrunk(recipe) | asked))
    trainer = Trainer(config, small_store(), CPU)
    trainer.step()
    assert trainer.guard.verdict() is None
    assert trainer.images == config.batch * config.discriminator.turns


def test_a_run_starts_from_a_trained_one_as_the_page_types_it(tmp_path, monkeypatch, capsys) -> None:
    recipe = "stylegan2-ada"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORGANZA_CACHE", str(tmp_path / "cache"))
    data, small = write_data(tmp_path), shrunk(recipe) | {"batch": 4, "output.log": 4, "output.checkpoint": 8}
    organza.train(recipe, data=data, out="runs/dogs", images=8, device="cpu", changes=small)
    (command,) = SHELL
    words = shlex.split(command.replace(" cats", f" {data}"))
    assert words[:3] == ["organza", "train", recipe]
    options = [f"--{key}={value}" for key, value in small.items()]
    main([*words[1:], "--images", "8", "--device", "cpu", "--out", "runs/cats", *options])
    assert "generator from runs/dogs" in capsys.readouterr().out
    before, after = (newest(Path("runs") / name)["networks"]["discriminator"] for name in ("dogs", "cats"))
    same = {name: torch.equal(before[name], after[name]) for name in before if name.endswith(".weight")}
    assert 0 < sum(same.values()) < len(same), same  # the first layers are frozen, the others learn


def test_every_loss_and_penalty_is_told() -> None:
    for name in LOSSES:
        assert f"`{name}`" in PAGE or f"--loss {name}" in PAGE
    for name in PENALTIES:
        page = PAGE if PENALTIES[name].of == "all" else TRANSLATION
        assert re.search(rf"[ ,`]{name}[ ,`]", page), name


def test_links_of_the_page_exist() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert links
    assert [
        link for link in links if "://" not in link and not (Path(__file__).parents[2] / "docs" / link).exists()
    ] == []
