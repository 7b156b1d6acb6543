"""Every command and the Python of docs/latent-editing.md run, with a tiny model and few steps."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from editing_helpers import tiny
from PIL import Image

from organza.cli import main
from organza.hub import save

PAGE = (Path(__file__).parents[2] / "docs" / "latent-editing.md").read_text()
COMMANDS = re.findall(r"^    organza (.+)$", PAGE, re.M)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    gan = dataclasses.replace(tiny("stylegan2", shape=(3, 16, 16), z_dim=16, w_dim=16), recipe="stylegan2")
    save(gan, folder / "runs/emoji/model", "card")
    pixels = np.random.RandomState(0).randint(0, 256, (20, 30, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "photo.png")
    (folder / "seen.csv").write_text("seed,label\n0,round\n1,square\n2,round\n5,square\n")
    return folder


def test_every_command_runs(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    assert len(COMMANDS) == 11
    for command in COMMANDS:
        words = [re.sub(r"^(350|1000)$", "1", word) for word in shlex.split(command)]
        if words[0] == "project":
            words += [] if "--steps" in words else ["--steps", "1"]
        main([*words, "--device", "cpu"])
    assert "written" in capsys.readouterr().out
    for file in re.findall(r"^\| `([\w.]+)`", PAGE.split("The folder gets")[1].split("**Which")[0], re.M):
        assert (place / "fits/tuned" / file).exists(), file


def test_the_python_runs(place, monkeypatch):
    monkeypatch.chdir(place)
    code = re.search(r"```python\n(.+?)```", PAGE, re.S)[1]
    names: dict = {}
    exec(re.sub(r"steps=\d+", "steps=1", code), names)
    assert names["images"].shape == (3, 3, 16, 16)
    assert len(names["layers"]) == 3


def test_links_of_the_page_exist():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", PAGE) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (Path(__file__).parents[2] / "docs" / link).exists()] == []
