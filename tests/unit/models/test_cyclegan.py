import pytest
import torch
from torch import nn
from torch.nn import functional as F

from organza.config import ConfigError
from organza.models import pix2pix
from organza.models.cyclegan import Discriminator, Generator


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def official(blocks=9, norm="instance", channels=3, **options):
    with torch.device("meta"):
        return Generator((channels, 256, 256), (channels, 256, 256), blocks=blocks, norm=norm, **options)


@pytest.mark.parametrize(
    ("blocks", "norm", "channels", "count"),
    [
        (9, "instance", 3, 11_378_179), (9, "batch", 3, 11_383_427), (9, "instance", 1, 11_365_633),
        (9, "instance", 2, 11_371_906), (9, "instance", 4, 11_384_452), (6, "instance", 3, 7_837_699),
        (6, "batch", 3, 7_841_411),
    ],
)  # fmt: skip
def test_official_parameter_counts(blocks, norm, channels, count):
    assert parameters(official(blocks, norm, channels)) == count


def names(*numbers, inner=(1, 5), blocks=()):
    found = {f"model.{n}" for n in numbers} | {f"model.{n}.conv_block.{i}" for n in blocks for i in inner}
    return {f"{name}.{what}" for name in found for what in ("weight", "bias")}


def test_official_keys():
    state = official().state_dict()
    assert set(state) == names(1, 4, 7, 19, 22, 26, blocks=range(10, 19))
    assert len(state) == 48
    assert state["model.22.weight"].shape == (128, 64, 3, 3)
    small = official(6).state_dict()
    assert set(small) == names(1, 4, 7, 16, 19, 23, blocks=range(10, 16))
    assert len(small) == 36
    assert set(official(dropout=0.5).state_dict()) == names(1, 4, 7, 19, 22, 26, blocks=range(10, 19), inner=(1, 6))


def test_official_keys_of_cut():
    network = official(antialias=True)
    state = network.state_dict()
    filters = {f"model.{n}.filt" for n in (7, 11, 21, 25)}
    assert set(state) == names(1, 4, 8, 22, 26, 30, blocks=range(12, 21)) | filters
    assert len(state) == 52
    assert parameters(network) == 11_378_179
    assert [tuple(state[key].shape) for key in sorted(filters)] == [
        (256, 1, 3, 3), (256, 1, 4, 4), (128, 1, 4, 4), (128, 1, 3, 3)
    ]  # fmt: skip


def test_what_cut_compares():
    network = official(antialias=True)
    with torch.device("meta"):
        found = network.features(torch.empty(1, 3, 256, 256))
    assert network.compared == (0, 4, 8, 12, 16)
    assert [tuple(f.shape[1:]) for f in found] == [
        (3, 262, 262), (128, 256, 256), (256, 128, 128), (256, 64, 64), (256, 64, 64)
    ]  # fmt: skip


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(("blocks", "count"), [(9, 5), (6, 5), (2, 5), (1, 4)])
def test_any_form_has_layers_to_compare_in_its_encoder(antialias, blocks, count):
    network = official(blocks, antialias=antialias)
    kinds = [type(network.model[number]).__name__ for number in network.compared]
    assert kinds == ["ReflectionPad2d", "Conv2d", "Conv2d", "ReflectedBlock", "ReflectedBlock"][:count]
    assert network.compared[-1] - network.compared[3] == min(4, blocks - 1)


def test_features_are_those_on_the_way():
    torch.manual_seed(0)
    network, x = Generator((2, 16, 12), (2, 16, 12), width=4, blocks=2).eval(), torch.randn(2, 2, 16, 12)
    found = network.features(x, (7, 0, len(network.model) - 1))
    torch.testing.assert_close(found[0], network.model[:8](x))
    torch.testing.assert_close(found[1], F.pad(x, (3, 3, 3, 3), mode="reflect"))
    torch.testing.assert_close(found[2], network(x))
    calls = []
    network.model[8].register_forward_hook(lambda *_: calls.append(1))
    network.features(x, (7,))
    assert not calls
    with pytest.raises(ValueError, match=r"\(40,\), of a network that has 0 to"):
        network.features(x, (40,))


def instance(x):
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), correction=0, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


def mirrored(x, pad, s, key):
    return F.conv2d(F.pad(x, (pad,) * 4, mode="reflect"), s[f"{key}.weight"], s[f"{key}.bias"])


def blurred_down(x):
    taps = torch.tensor([1.0, 2.0, 1.0], dtype=x.dtype) / 4
    x = F.pad(x, (1, 1, 1, 1), mode="reflect")
    x = sum(t * x[..., i : x.shape[-1] - 2 + i] for i, t in enumerate(taps))
    x = sum(t * x[..., i : x.shape[-2] - 2 + i, :] for i, t in enumerate(taps))
    return x[..., ::2, ::2]


@pytest.mark.parametrize("antialias", [False, True])
def test_generator_is_the_formula(antialias):
    torch.manual_seed(0)
    network = Generator((2, 16, 24), (3, 16, 24), width=4, blocks=2, antialias=antialias).double()
    for p in network.parameters():
        nn.init.normal_(p, 0.0, 0.3)
    x = torch.randn(2, 2, 16, 24).double()
    s = {key.removeprefix("model."): value for key, value in network.state_dict().items()}
    downs, blocks, ups, end = ((4, 8), (12, 13), (15, 19), 23) if antialias else ((4, 7), (10, 11), (12, 15), 19)
    h = F.relu(instance(mirrored(x, 3, s, "1")))
    for n in downs:
        h = F.conv2d(h, s[f"{n}.weight"], s[f"{n}.bias"], stride=1 if antialias else 2, padding=1)
        h = blurred_down(F.relu(instance(h))) if antialias else F.relu(instance(h))
    for n in blocks:
        inner = F.relu(instance(mirrored(h, 1, s, f"{n}.conv_block.1")))
        h = h + instance(mirrored(inner, 1, s, f"{n}.conv_block.5"))
    for n in ups:
        if antialias:
            h = F.interpolate(h, scale_factor=2, mode="bilinear", align_corners=False)
            h = F.conv2d(h, s[f"{n}.weight"], s[f"{n}.bias"], padding=1)
        else:
            h = F.conv_transpose2d(h, s[f"{n}.weight"], s[f"{n}.bias"], stride=2, padding=1, output_padding=1)
        h = F.relu(instance(h))
    torch.testing.assert_close(network(x), mirrored(h, 3, s, str(end)).tanh())


@pytest.mark.parametrize(("source", "shape"), [((3, 16, 16), (3, 16, 16)), ((1, 8, 20), (4, 8, 20))])
@pytest.mark.parametrize(
    "options", [{}, {"norm": "batch"}, {"dropout": 0.5}, {"antialias": True}, {"upsample": "resize"}]
)
def test_shapes_range_and_gradients(source, shape, options):
    torch.manual_seed(0)
    network = Generator(source, shape, width=4, blocks=1, **options)
    images = network(torch.randn(2, *source))
    assert images.shape == (2, *shape)
    assert -1 <= images.min() < images.max() <= 1
    (images * torch.randn_like(images)).sum().backward()
    for name, p in network.named_parameters():
        assert p.grad is not None, name
        assert p.grad.any() or name.endswith("bias"), name
    assert (network.z_dim, network.multiple, network.classes) == (0, 4, 0)


def test_resize_leaves_no_checkerboard_of_a_plain_picture():
    """Away from the border a constant picture stays constant within cells of 4 pixels only if every pixel is alike."""
    torch.manual_seed(0)
    inner = (..., slice(20, 44), slice(20, 44))
    spread = {}
    for options in ({"upsample": "transposed"}, {"upsample": "resize"}, {"antialias": True}):
        network = Generator((1, 64, 64), (1, 64, 64), width=4, blocks=1, norm="batch", **options).eval()
        for p in network.parameters():
            nn.init.normal_(p, 0.0, 0.3)
        spread[next(iter(options.values()))] = network(torch.ones(1, 1, 64, 64))[inner].std().item()
    assert spread["transposed"] > 1e-3
    assert spread["resize"] < 1e-5
    assert spread[True] < 1e-5


def test_start():
    torch.manual_seed(0)
    plain = Generator((3, 64, 64), (3, 64, 64), blocks=1).model[10].conv_block[1].weight
    cut = Generator((3, 64, 64), (3, 64, 64), blocks=1, antialias=True).model[12].conv_block[1].weight
    assert 0.0199 < plain.std().item() < 0.0201
    assert cut.std().item() == pytest.approx(0.02 * (2 / (2 * 256 * 9)) ** 0.5, rel=0.01)


def test_labels_and_other_sizes():
    torch.manual_seed(0)
    network = Generator((1, 16, 16), (1, 16, 16), 3, width=4, blocks=1, norm="batch")
    x = torch.randn(1, 1, 32, 20).expand(2, -1, -1, -1)
    one, two = network(x, None, torch.tensor([1, 2]))
    assert one.shape == (1, 32, 20)
    assert (one - two).abs().max() > 1e-3
    with pytest.raises(ConfigError, match=r"does not hear labels, of which there are 3.*norm batch"):
        Generator((1, 16, 16), (1, 16, 16), 3)
    with pytest.raises(ValueError, match="pad them to 32x24"):
        network(torch.zeros(1, 1, 32, 21), None, torch.tensor([0]))


def test_the_discriminator_is_that_of_pix2pix():
    assert Discriminator is pix2pix.Discriminator


def test_refusals():
    with pytest.raises(ConfigError, match=r"multiples of 4; type --data\.resolution 32 20"):
        Generator((3, 30, 20), (3, 30, 20))
    with pytest.raises(ConfigError, match="blocks is 0"):
        Generator((3, 16, 16), (3, 16, 16), blocks=0)
    with pytest.raises(ConfigError, match="at least 8 pixels"):
        Generator((3, 4, 4), (3, 4, 4))
    with pytest.raises(ConfigError, match=r"leave out --generator\.model\.upsample resize"):
        Generator((3, 16, 16), (3, 16, 16), antialias=True, upsample="resize")
