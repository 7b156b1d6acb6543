from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from organza.cli import main


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """No test touches the user's cache, home, runs or screen."""
    for name in ("ORGANZA_DATA", "ORGANZA_DEBUG", "NO_COLOR", "FORCE_COLOR", "RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ORGANZA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "120")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@dataclass
class Said:
    code: int
    out: str
    err: str


@pytest.fixture
def organza(capsys):
    """The command line in this process: `organza("train", "--images", "8")`."""

    def call(*words) -> Said:
        capsys.readouterr()
        try:
            main([str(word) for word in words])
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        told = capsys.readouterr()
        return Said(code, told.out, told.err)

    return call


@pytest.fixture
def images():
    """Make a folder of noise pictures; `sizes` are taken in turn."""

    def make(folder: str, count: int = 16, sizes=((16, 16),)) -> str:
        Path(folder).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            width, height = sizes[i % len(sizes)]
            pixels = np.random.RandomState(i).randint(0, 256, (height, width, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(Path(folder) / f"{i}.png")
        return folder

    return make
