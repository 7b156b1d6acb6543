import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from export_helpers import VARIANTS, noise, tiny

import organza
from organza.config import Codes, ConfigError
from organza.hub.export import export
from organza.hub.graph import noise_of
from organza.latent.space import LatentSpace


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "projected"])
def test_a_program_of_torch_is_equal_for_any_batch(variant, tmp_path):
    gan = tiny(variant)
    done = export(gan, tmp_path / "gan.pt2", "torch")
    program, space = torch.export.load(done.path).module(), LatentSpace(gan.generator)
    psi = {"truncation": torch.tensor(0.6)} if space.has_w else {}
    for batch in (1, 3, 5):
        z, label = torch.from_numpy(noise(gan, range(batch))), torch.arange(batch) % 3
        wanted = space.draw(space.codes(z, label, **({"psi": 0.6} if psi else {})), label)
        found = program(z, label=label, **psi)
        assert found.shape == (batch, *gan.shape)
        assert np.abs(found.numpy() - wanted.numpy()).max() < 1e-4
        if batch > 1:
            assert np.abs(found.numpy() - found[:1].numpy()).max() > 1e-3  # equal samples would prove nothing
    assert done.optional == ()
    assert done.difference < 1e-4


def test_the_program_holds_no_pickle_and_says_what_it_is(tmp_path):
    export(tiny("mlp", codes=Codes(categorical=(3,))), tmp_path / "gan.pt2", "torch", licence="MIT")
    with zipfile.ZipFile(tmp_path / "gan.pt2") as archive:
        starts = {name: archive.read(name)[:4] for name in archive.namelist()}
        whole = b"".join(archive.read(name) for name in archive.namelist())
    assert str(Path(organza.__file__).parent).encode() not in whole
    assert not [name for name, start in starts.items() if start[:1] == b"\x80" or start == b"PK\x03\x04"]
    about = {"organza.json": ""}
    torch.export.load(tmp_path / "gan.pt2", extra_files=about)
    assert json.loads(about["organza.json"])["licence"] == "MIT"


def test_noise_pictures_come_in_the_order_of_the_layers():
    gan = tiny("stylegan2")
    assert [tuple(picture.shape) for picture in noise_of(gan.generator)] == [(4, 4), (8, 8), (8, 8), (16, 16), (16, 16)]
    assert noise_of(tiny("dcgan").generator) == []
    young = tiny("stylegan", fade=10, stable=10)
    assert len(noise_of(young.generator)) == 4  # it begins with two of its three levels
    young.generator.advance(1000)
    assert len(noise_of(young.generator)) == 6


def test_mistakes(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="format is 'onxx'; did you mean 'onnx'"):
        export(tiny("mlp"), tmp_path / "gan", "onxx")  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # as if it were not installed
    with pytest.raises(ConfigError, match=r'pip install "organza\[export\]"'):
        export(tiny("mlp"), tmp_path / "gan.onnx")
    assert list(tmp_path.iterdir()) == []
