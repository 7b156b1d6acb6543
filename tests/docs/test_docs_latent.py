"""Every command and Python block of docs/latent.md (but for the part on projection) runs on a tiny stylegan2."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from engine_helpers import shrunk, write_data
from PIL import Image

import organza
from organza.cli import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "latent.md").read_text().split("## Projection and editing")[0]
COMMANDS = [
    line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.S) for line in block.splitlines() if line.strip()
]
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.S)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs/faces, trained for a step or two."""
    place = tmp_path_factory.mktemp("latent")
    small = shrunk("stylegan2", (1, 16, 16))
    organza.train("stylegan2", data=write_data(place), images=16, out=place / "runs/faces", changes=small, device="cpu")
    return place


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page(command: str, faces: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(faces)
    if command.split()[-1].endswith(".mp4") and shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    main(shlex.split(command)[1:])
    path = Path(capsys.readouterr().out.split("written")[-1].split("(")[0].strip().split(" in ")[-1])
    assert path.exists()
    if path.suffix in (".png", ".gif"):
        with Image.open(path) as picture:
            assert min(picture.size) >= 48


def test_there_is_a_command_for_every_tool() -> None:
    verbs = [command.split()[1] for command in COMMANDS]
    assert {verbs.count(verb) >= 2 for verb in ("sample", "interpolate", "mix", "walk")} == {True}


def test_the_python_of_the_page(faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(faces)
    scope: dict[str, object] = {"organza": organza}
    exec("\n".join(PYTHON), scope)
    assert tuple(scope["figure"].mixed.shape) == (2, 3, 1, 16, 16)  # type: ignore[attr-defined]
    assert tuple(scope["grainy"].shape) == (2, 1, 16, 16)  # type: ignore[attr-defined]
    with Image.open("walk.gif") as gif:
        assert gif.n_frames > 1  # type: ignore[attr-defined]


def test_links_of_the_page_exist() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", PAGE) if not link.startswith("http")]
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
