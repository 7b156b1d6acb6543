import pytest
import torch
from editing_helpers import tiny

from organza.config import ConfigError
from organza.latent.editing import codes_of
from organza.latent.layers import first_layer, layer_view
from organza.metrics.spectrum import radial_spectrum
from organza.report.layers import CELL, GAP, layers_image


def names(gan):
    return [layer.name for layer in layer_view(gan, *codes_of(gan, [0]))[0]]


def test_layers_are_the_blocks_whatever_holds_them():
    assert names(tiny("dcgan")) == ["first", "stages.0", "last"]
    assert names(tiny("resnet")) == ["blocks.0", "blocks.1", "norm", "to_image"]
    assert names(tiny("stylegan2")) == ["b4", "b8", "b16"]
    assert names(tiny("biggan-deep", ("a",)))[:4] == ["blocks.0.0", "blocks.0.1", "blocks.1.0", "blocks.1.1"]
    assert names(tiny("mlp")) == ["layers.2", "layers.5", "head"]


def test_a_layer_is_what_its_module_makes():
    gan, made = tiny("stylegan2", shape=(3, 16, 16)), []
    codes, _ = codes_of(gan, [4])
    with gan.generator.synthesis.b8.register_forward_hook(lambda module, given, out: made.append(out[0][0])):
        layers, sample = layer_view(gan, codes, channels=3)
    layer, maps = layers[1], made[0]
    assert torch.equal(sample, gan.sample(seeds=[4])[0])
    assert layer.shape == tuple(maps.shape)
    deviations = maps.flatten(1).std(1, correction=0)
    assert list(layer.strongest) == deviations.topk(3).indices.tolist()
    assert torch.equal(layer.maps, maps[list(layer.strongest)])
    assert layer.mean == pytest.approx(float(maps.mean()), abs=1e-6)
    assert layer.std == pytest.approx(float(maps.std(correction=0)), rel=1e-5)
    assert layer.power == pytest.approx(radial_spectrum(maps[None])[1].tolist())
    assert len(layer.frequencies) == len(layer.power) == 6
    assert layer.silent == 0
    with torch.no_grad():
        gan.generator.synthesis.b8.conv1.weight.zero_()  # constant maps: its bias alone
    assert layer_view(gan, codes, noise=())[0][1].silent == maps.shape[0]


def test_units_of_a_network_without_maps():
    gan = tiny("mlp", shape=(2,), norm="none", slope=0.0)
    layers, point = layer_view(gan, *codes_of(gan, [1]))
    assert [layer.shape for layer in layers] == [(8,), (8,), (2,)]
    assert torch.equal(layers[-1].maps, point)
    assert layers[0].silent == int((layers[0].maps == 0).sum())
    assert layers[0].power == ()
    assert layers_image(layers, torch.zeros(1, 8, 8, dtype=torch.uint8), "x").height == 28 + 4 * (CELL + 3 * GAP)


def test_the_page_shows_the_maps():
    gan = tiny("dcgan")
    layers, sample = layer_view(gan, *codes_of(gan, [1]), channels=4)
    page = layers_image(layers, sample, "dcgan, seed1")
    row = 28 + 1 * (CELL + 3 * GAP)
    pixels = torch.tensor(list(page.crop((190, row, 190 + CELL, row + CELL)).convert("L").get_flattened_data()))
    seen = pixels.view(8, 11, 8, 11).float()
    assert float(seen.std((1, 3)).max()) == 0  # a map of 8x8, its pixels enlarged
    wanted = layers[1].maps[0]
    wanted = (wanted - wanted.min()) / (wanted.max() - wanted.min()) * 255
    assert float((seen[:, 0, :, 0] - wanted).abs().max()) <= 1


def test_the_first_layer_of_many_samples():
    gan = tiny("dcgan", ("a", "b"))
    z = torch.randn(70, 8, generator=torch.Generator().manual_seed(0))
    found = first_layer(gan, z)
    labels = torch.nn.functional.one_hot(torch.arange(70) % 2, 2)
    made = gan.generator.first(gan.generator.project(torch.cat([z, labels], 1)).view(-1, *gan.generator.base))
    assert torch.allclose(found, made.flatten(1), atol=1e-6)


def test_a_gan_with_classes_asks_for_them():
    gan = tiny("dcgan", ("a", "b"))
    with pytest.raises(ConfigError, match=r"give labels \[B\]"):
        layer_view(gan, codes_of(gan, [1])[0])
