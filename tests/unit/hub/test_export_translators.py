"""Exported translators take pictures of any size and batch, and make what PyTorch makes of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from organza.config import ConfigError, Model
from organza.hub.export import export
from organza.hub.translator import Translator
from organza.models import translator
from organza.models.both_ways import two_way

UNET, RESIDUAL = {"width": 2, "downs": 3}, {"width": 2, "blocks": 1}
FORMS = {  # model, channels before and after, scale, classes, options
    "pix2pix": ("pix2pix", 3, 3, 1, 0, UNET),
    "pix2pix of classes": ("pix2pix", 3, 1, 1, 3, UNET),
    "pix2pixhd": ("pix2pixhd", 3, 3, 1, 0, {"width": 4, "blocks": 1, "downs": 2, "local": True, "local_blocks": 1}),
    "cyclegan": ("cyclegan", 3, 3, 1, 0, RESIDUAL),
    "cut": ("cyclegan", 3, 3, 1, 0, RESIDUAL | {"antialias": True}),
    "spade": ("spade", 5, 3, 1, 0, {"width": 4, "hidden": 4}),
    "srgan": ("srgan", 3, 3, 3, 0, {"width": 4, "blocks": 1}),
    "esrgan": ("esrgan", 3, 3, 4, 0, {"width": 4, "blocks": 1, "growth": 2}),
    "real-esrgan x2": ("esrgan", 3, 3, 2, 0, {"width": 4, "blocks": 1, "growth": 2}),
    "srvgg": ("srvgg", 3, 3, 2, 0, {"width": 4, "depth": 1}),
    "srvgg x3 of x4": ("srvgg", 3, 3, 3, 0, {"width": 4, "depth": 1, "shuffle": 4}),
    "colorize": ("colorize", 1, 3, 1, 0, UNET),
    "animegan": ("animegan", 3, 3, 1, 0, RESIDUAL),
    "stargan": ("stargan", 3, 3, 1, 3, RESIDUAL),
    "stargan-v2": ("stargan-v2", 3, 3, 1, 3, {"width": 4, "max_width": 8, "style_dim": 4, "mapping_width": 8}),
    "inpaint": ("deepfill", 4, 3, 1, 0, {"width": 4}),
    "lama": ("lama", 4, 3, 1, 0, {"width": 4, "blocks": 1}),
    "munit": ("munit", 3, 1, 1, 0, {"width": 4, "blocks": 1, "mlp_width": 8, "style_downs": 2}),
    "unit": ("unit", 3, 3, 1, 0, {"width": 4, "blocks": 1}),
    "both ways": ("cyclegan", 3, 1, 1, 0, RESIDUAL),
}  # fmt: skip
TWO_WAY = ("munit", "unit", "both ways")


def tiny(form, *, side=32, **more) -> Translator:
    name, before, after, scale, classes, options = FORMS[form]
    model, source, shape = Model(name=name, options=options | more), (before, side, side), (after, *2 * [side * scale])
    torch.manual_seed(0)
    make = two_way if form in TWO_WAY else translator
    network = make(model, source, shape, classes).eval().requires_grad_(False)
    for value in network.parameters():
        if value.dim() > 1 and name != "spade":  # which is normed by its first weights
            nn.init.xavier_normal_(value)
    if name == "spade":
        network.conv_img.weight.mul_(1e5)  # it begins at nothing
    both = form in TWO_WAY
    return Translator(network, model, source, shape, tuple("abc"[:classes]), form, both_ways=both)


def given(found, batch, height, width, names, reverse=False):
    random, channels = np.random.RandomState(batch), (found.shape if reverse else found.source)[0]
    feeds = {"source": random.uniform(-1, 1, (batch, channels, height, width)).astype(np.float32)}
    more = {"z": random.randn(batch, found.generator.z_dim).astype(np.float32), "label": np.arange(batch) % 3}
    return feeds | {name: more[name] for name in names if name != "source"}


def wanted(found, feeds, reverse=False):
    """What the generator makes, one picture at a time."""
    made, whole = [], found.generator
    for row in range(len(feeds["source"])):
        x, z, label = (
            torch.from_numpy(feeds[n][row : row + 1]) if n in feeds else None for n in ("source", "z", "label")
        )
        made.append(whole.one_way(x, z, reverse) if found.both_ways else whole(x, z, label))
    return torch.cat(made).numpy()


def session(path):
    runtime = pytest.importorskip("onnxruntime", reason="the extra export is not installed")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def must_equal(found, run, names, sizes, reverse=False):
    for batch, height, width in sizes:
        feeds = given(found, batch, height, width, names, reverse)
        made, right = run(feeds), wanted(found, feeds, reverse)
        assert made.shape == right.shape
        assert np.abs(made - right).max() < 1e-4 * max(1, np.abs(right).max())
        assert right.std() > 1e-3


@pytest.mark.parametrize("form", FORMS)
def test_onnx_takes_any_sides_and_any_batch(form, tmp_path):
    pytest.importorskip("onnxscript", reason="the extra export is not installed")
    found = tiny(form)
    done = export(found, tmp_path / "net.onnx")
    named = {"z"} if form in ("munit", "stargan-v2") else set()
    assert set(done.inputs) == {"source"} | named | ({"label"} if found.classes else set())
    run = session(done.path)
    assert run.get_inputs()[0].shape == ["batch", found.source[0], "height", "width"]
    assert run.get_outputs()[0].shape[:2] == ["batch", found.shape[0]]
    about = run.get_modelmeta().custom_metadata_map
    assert (about["multiple"], about["scale"]) == (str(found.multiple), f"{found.scale:g}")
    assert json.loads(about["source"]) == [found.source[0], 32, 32]
    sizes = [(1, 32, 32), (3, 64, 96), (2, 96, 32)]
    must_equal(found, lambda feeds: run.run(None, feeds)[0], done.inputs, sizes)


@pytest.mark.parametrize("form", ["pix2pix", "srvgg", "stargan", "munit", "lama", "both ways"])
def test_a_program_of_torch_does_too(form, tmp_path):
    found = tiny(form)
    done = export(found, tmp_path / "net.pt2", "torch")
    made = torch.export.load(done.path).module()
    assert done.format == "torch"

    def run(feeds):
        (_, first), *others = [(name, torch.from_numpy(value)) for name, value in feeds.items()]
        return made(first, **dict(others)).numpy()

    least = 8 if form == "pix2pix" else 32  # its U-Net then ends in one pixel
    must_equal(found, run, done.inputs, [(1, least, least), (3, 64, 96), (2, 96, 32)])


def test_several_attributes_are_a_label(tmp_path):
    found = replace(tiny("stargan"), attributes=True)
    made = torch.export.load(export(found, tmp_path / "net.pt2", "torch").path).module()
    source, label = torch.rand(2, 3, 16, 32), torch.tensor([[1, 1, 0], [0, 0, 1]])
    torch.testing.assert_close(made(source, label=label), found.generator(source, None, label), atol=1e-4, rtol=0)


@pytest.mark.parametrize("form", TWO_WAY)
def test_the_way_back(form, tmp_path):
    found = tiny(form)
    done = export(found, tmp_path / "net.pt2", "torch", reverse=True)
    made = torch.export.load(done.path).module()
    feeds = given(found, 2, 32, 48, done.inputs, reverse=True)
    (_, first), *others = [(name, torch.from_numpy(value)) for name, value in feeds.items()]
    assert np.abs(made(first, **dict(others)).numpy() - wanted(found, feeds, reverse=True)).max() < 1e-4
    if form == "both ways":  # the other network is not in the file
        assert (
            done.path.stat().st_size < 1.9 * export(tiny("cyclegan"), tmp_path / "a.pt2", "torch").path.stat().st_size
        )
    with pytest.raises(ConfigError, match="has learned one way only; leave out reverse"):
        export(tiny("cyclegan"), tmp_path / "net.pt2", "torch", reverse=True)


def test_pixels_and_sides_that_noise_decides(tmp_path):
    found = tiny("spade", side=64, vae=True, z_dim=6, encoder_width=2)
    done = export(found, tmp_path / "net.pt2", "torch", pixels=True)
    extra = {"organza.json": ""}
    made = torch.export.load(done.path, extra_files=extra).module()
    assert "multiple" not in json.loads(extra["organza.json"])
    feeds = given(found, 2, 64, 64, done.inputs)
    pixels = made(torch.from_numpy(feeds["source"]), z=torch.from_numpy(feeds["z"])).numpy()
    assert pixels.dtype == np.uint8
    assert np.abs(pixels - (wanted(found, feeds) * 127.5 + 128).clip(0, 255)).max() < 1.1


class Special(nn.Module):
    """Multiplies by the Bessel function of its own, which ONNX has not."""

    z_dim, multiple = 0, 1

    def forward(self, source, z=None, label=None):
        return source * torch.special.bessel_j0(source)


def test_a_step_that_onnx_lacks_is_named(tmp_path):
    pytest.importorskip("onnxscript", reason="the extra export is not installed")
    found = Translator(Special(), Model(name="special"), (3, 16, 16), (3, 16, 16), recipe="special")
    with pytest.raises(ConfigError, match=r"special has a step that ONNX lacks \(bessel_j0\); type --format torch"):
        export(found, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())
