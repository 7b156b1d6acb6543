"""Every command and code block of the README runs, on budgets cut for the test; `.ci/run` runs its pip lines."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from organza.cli import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
USAGE = "".join(block for block in re.findall(r"```bash\n(.*?)```", README, re.S) if "organza sample" in block)
PYTHON = next(iter(re.findall(r"```python\n(.*?)```", README, re.S)))
CUT = {"--images": "600", "--output.log": "200", "--output.samples": "300", "--output.checkpoint": "300"}


def _photos(folder: Path) -> None:
    folder.mkdir(parents=True)
    pixels = np.random.RandomState(0).randint(0, 256, (12, 70, 90, 3), np.uint8)
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"{number}.jpg")


def _cut(words: list[str]) -> list[str]:
    """The same command on a budget of 600 images."""
    if "--minutes" in words:
        at = words.index("--minutes")
        words = words[:at] + words[at + 2 :]
    if words[0] == "project":
        return [*words, "--steps", "3"]
    return [*words, *(word for pair in CUT.items() for word in pair)] if words[0] == "train" else words


def test_the_commands_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _photos(tmp_path / "path" / "to" / "photos")
    Image.new("L", (30, 28), 200).save("mine.png")
    lines = [shlex.split(line) for line in USAGE.splitlines() if line.startswith("organza ")]
    assert len(lines) >= 12
    for words in lines:
        main(_cut(words[1:]))
    with Image.open("sevens.png") as grid:
        assert grid.size[0] > 300
    assert Path("film.gif").stat().st_size > 1_000
    assert Path("found", "projection.png").is_file()
    assert (tmp_path / "runs" / "digits" / "report.html").stat().st_size > 5_000


def test_the_python_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "200_000" in PYTHON
    scope: dict[str, object] = {}
    exec(PYTHON.replace("200_000", "600"), scope)
    images = scope["images"]
    assert tuple(images.shape) == (64, 1, 28, 28)  # type: ignore[attr-defined]


def test_links_and_pictures_of_the_readme_exist() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if not link.startswith("http")]
    assert len(links) > 8
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_reading_path_is_short() -> None:
    names = [
        "recipes/dcgan.py",
        "training/trainer.py",
        "games/latent.py",
        "losses.py",
        "penalties/gradients.py",
        "models/dcgan.py",
    ]
    lines = sum(len((ROOT / "src" / "organza" / name).read_text().splitlines()) for name in names)
    assert 300 < lines < 900
