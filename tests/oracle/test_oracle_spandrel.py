"""What other tools make of our files: spandrel, with which ComfyUI and chaiNNer load models, finds the same."""

import pytest
import torch

from organza.config import Model
from organza.hub.original import save_original
from organza.hub.translator import Translator
from organza.layers.holes import with_hole
from organza.models import complete, translator

pytest.importorskip("torchvision", reason="spandrel needs torchvision")
spandrel = pytest.importorskip("spandrel", reason="spandrel is not installed")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(("name", "scale", "options", "architecture"), [  # it takes a growth of 32 for granted
    ("esrgan", 4, {"width": 8, "blocks": 2, "growth": 32}, "ESRGAN"),
    ("esrgan", 2, {"width": 8, "blocks": 1, "growth": 32}, "ESRGAN"),
    ("srvgg", 4, {"width": 8, "depth": 3}, "RealESRGAN Compact"),
    ("srvgg", 2, {"width": 8, "depth": 2}, "RealESRGAN Compact"),
])  # fmt: skip
def test_spandrel_upscales_as_we_do(tmp_path, name, scale, options, architecture, suffix):
    torch.manual_seed(0)
    model = Model(name=name, options=options)
    network = translator(model, (3, 16, 16), (3, 16 * scale, 16 * scale)).eval()
    for value in network.parameters():
        torch.nn.init.normal_(value, 0, 0.15 if name == "srvgg" else 0.05)  # results about as large as pictures
    found = Translator(network, model, (3, 16, 16), (3, 16 * scale, 16 * scale), recipe=name)
    (path,) = save_original(found, tmp_path / f"net{suffix}")
    loaded = spandrel.ModelLoader().load_from_file(path)
    assert (loaded.architecture.name, loaded.scale, loaded.input_channels) == (architecture, scale, 3)
    x = torch.rand(1, 3, 12, 20)
    with torch.no_grad():
        wanted = (network(x * 2 - 1) + 1) / 2  # spandrel's pictures are in [0, 1], and cut to it
        made = loaded.model.eval()(x)
    assert 0.01 < wanted.std() < 2
    assert torch.allclose(made, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_spandrel_fills_as_we_do(tmp_path, suffix):
    """It takes the width and the blocks of Big LaMa for granted."""
    torch.manual_seed(0)
    model = complete(Model(name="lama"), "generator")
    network = translator(model, (4, 64, 64), (3, 64, 64)).eval()
    found = Translator(network, model, (4, 64, 64), (3, 64, 64), recipe="lama")
    (path,) = save_original(found, tmp_path / f"net{suffix}")
    loaded = spandrel.ModelLoader().load_from_file(path)
    assert (loaded.architecture.name, loaded.input_channels) == ("LaMa", 3)  # and the mask
    picture, hole = torch.rand(1, 3, 64, 64), torch.zeros(1, 1, 64, 64)
    hole[:, :, 10:30, 20:40] = 1
    with torch.no_grad():
        wanted = (network(with_hole(picture * 2 - 1, hole.bool())) + 1) / 2
        made = loaded.model.eval()(picture, hole)
    assert wanted[:, :, 10:30, 20:40].std() > 1e-3
    assert torch.allclose(made * hole, wanted * hole, rtol=0, atol=1e-4)
