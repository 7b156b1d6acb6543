"""The commands and the Python of docs/export.md run, one after another, on a small run."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from gan_helpers import untrained

import organza
from organza.cli import main
from organza.hub import save
from organza.hub.graph import noise_of
from organza.latent.space import LatentSpace

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
COMMANDS = [shlex.split(line, comments=True) for line in re.findall(r"^organza export .*$", PAGE, re.M)]
STEERED = re.findall(r"`(program\(z, .*\))`", PAGE)[0]
CODE = re.findall(r"^```python\n(.*?)```", PAGE, re.M | re.S)


def test_the_page(tmp_path, monkeypatch):
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason="the extra export is not installed")
    monkeypatch.chdir(tmp_path)
    changes = {"output.score": False, "output.pictures": False, "output.log": 64, "batch": 32,
               "generator.model.width": 4, "discriminator.model.width": 4, "generator.init": "he"}  # fmt: skip
    run = organza.train("dcgan", data="mnist", out="runs/digits", images=64, changes=changes)
    style = {"z_dim": 8, "w_dim": 8, "width": 4, "max_width": 8, "mapping_layers": 1}
    save(untrained("stylegan2", style, (), (), (3, 16, 16), recipe="stylegan2"), Path("runs/faces"), "card")
    assert len(COMMANDS) == 5
    for words in COMMANDS:
        main(words[1:])
    assert (run.path / "dcgan.onnx").stat().st_size == Path("digits.onnx").stat().st_size
    assert len(CODE) == 4
    scope: dict = {}
    for code in CODE:
        exec(code, scope)
    gan = organza.load(run.path)
    labels = scope["inputs"].get("label")
    for made, more in ((scope["pixels"], {}), (_bytes(scope["again"]), {})):
        wanted = gan.sample(8, labels=None if labels is None else labels.tolist(), **more).numpy()
        assert np.abs(made.astype(int) - wanted.astype(int)).max() <= 1
        assert wanted.std() > 0
    program, space = torch.export.load("faces.pt2").module(), LatentSpace(organza.load("runs/faces").generator)
    z, pictures = torch.randn(2, 8), tuple(torch.randn(2, 1, *p.shape) for p in noise_of(space.generator))
    again = eval(STEERED, {"torch": torch, "program": program, "z": z, "pictures": pictures})
    wanted = space.draw(space.codes(z, psi=0.7, cutoff=4), noise=pictures)
    assert (again - wanted).abs().max() < 1e-4
    from organza.latent.sampling import latents

    assert np.abs(scope["truncated"] - latents(scope["seeds"], gan.z_dim, 0.7).numpy()).max() < 1e-6
    assert (Path("digits-gan") / "README.md").read_text().startswith("---\nlicense: apache-2.0\n")


def _bytes(images: torch.Tensor) -> np.ndarray:
    return np.clip(images.numpy() * 127.5 + 128, 0, 255).astype(np.uint8)


def test_every_input_of_an_export_is_told():
    for name in ("z", "label", "truncation", "cutoff", "noise_0", "transform"):
        assert f"| `{name}`" in PAGE
    assert 'pip install "organza[export]"' in PAGE
