import itertools
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


@pytest.mark.parametrize(
    ("variant", "classes"), [("stylegan", 0), ("stylegan2", 3), ("stylegan3", 0), ("stylegan-xl", 3)]
)
def test_every_input_of_a_program(variant, classes, tmp_path):
    """Psi, the layers that it is for, noise pictures and the transform are inputs, and move what they should."""
    gan = tiny(variant, classes, **({"fade": 0, "stable": 0} if variant == "stylegan" else {}))
    done = export(gan, tmp_path / "gan.pt2", "torch", every_input=True)
    assert done.optional == ()
    assert done.difference < 1e-4
    program, space = torch.export.load(done.path).module(), LatentSpace(gan.generator)
    turned = {"transform"} if space.generator.synthesis.__module__.endswith("stylegan3") else set()
    sizes = [picture.shape for picture in noise_of(gan.generator)]
    wanted = {"z", "truncation", "cutoff", *(f"noise_{i}" for i in range(len(sizes))), *turned}
    assert set(done.inputs) == wanted | ({"label"} if classes else set())
    random = torch.Generator().manual_seed(0)
    for batch in (1, 3, 5):
        z = torch.from_numpy(noise(gan, range(batch)))
        given = {"label": torch.arange(batch) % 3} if classes else {}
        more = {"noise": tuple(torch.randn(batch, 1, *size, generator=random) for size in sizes)} if sizes else {}
        more |= {"transform": torch.randn(batch, 3, 3, generator=random)} if turned else {}
        seen = []
        for cutoff in (0, 1, space.layers - 1, space.layers, space.layers + 5):
            codes = space.codes(z, given.get("label"), psi=0.3, cutoff=cutoff)
            found = program(z, truncation=torch.tensor(0.3), cutoff=torch.tensor(cutoff), **given, **more)
            assert (found - space.draw(codes, **more)).abs().max() < 1e-4
            seen.append(found)
        assert all((one - two).abs().max() > 1e-3 for one, two in itertools.pairwise(seen[:4]))
        assert torch.equal(seen[3], seen[4])
        plain = space.draw(space.codes(z, given.get("label"), psi=0.3))
        assert (seen[3] - plain).abs().max() > 1e-3  # noise or transform counts


def test_inputs_that_are_not_to_be_had(tmp_path):
    with pytest.raises(ConfigError, match="an ONNX file has every input in any case; leave out every_input"):
        export(tiny("stylegan2"), tmp_path / "gan.onnx", every_input=True)
    with pytest.raises(ConfigError, match="'dcgan' has no w, noise pictures or transform; leave out every_input"):
        export(tiny("dcgan"), tmp_path / "gan.pt2", "torch", every_input=True)
    assert list(tmp_path.iterdir()) == []


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
