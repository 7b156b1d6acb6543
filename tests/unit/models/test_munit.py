import pytest
import torch
from domain_formulas import content_of, conv, count, drawn, moments_of
from torch import nn
from torch.nn import functional as F

from organza.config import ConfigError
from organza.models.munit import AdaIN, Discriminator, Generator, LayerNorm
from organza.recipes import RECIPES

TINY = {"width": 4, "blocks": 2, "style_dim": 3, "mlp_width": 5, "style_downs": 3}


def tiny(channels=4, side=16, seed=0, **options):
    torch.manual_seed(seed)
    return Generator((channels, side, side), (channels, side, side), **{**TINY, **options})


def test_published_sizes():
    with torch.device("meta"):
        coder = Generator((6, 256, 256), (6, 256, 256)).a
        judge = Discriminator((3, 256, 256))
    parts = {"enc_style": 2_764_936, "enc_content": 5_385_856, "dec": 5_754_627, "mlp": 1_120_768}
    assert {name: count(module) for name, module in coder.named_children()} == parts
    assert count(coder) == 15_026_187
    assert [count(cnn) for cnn in judge.cnns] == [2_757_057] * 3
    assert judge.parts == (16**2, 8**2, 4**2)


@pytest.mark.parametrize("name", ["munit", "unit"])
def test_pictures_are_cut_to_squares_and_not_stretched(name):
    data = RECIPES[name]((3, 256, 256), "paper").data
    assert (data.resolution, data.crop, data.window) == ((256, 256), "center", None)


def test_names_of_published_files():
    with torch.device("meta"):
        state = Generator((6, 64, 64), (6, 64, 64)).a.state_dict()
        judge = Discriminator((3, 64, 64)).state_dict()
    shapes = {name: tuple(weight.shape) for name, weight in state.items()}
    assert len(shapes) == 66
    wanted = {
        "enc_style.model.0.conv.weight": (64, 3, 7, 7), "enc_style.model.4.conv.weight": (256, 256, 4, 4),
        "enc_style.model.6.weight": (8, 256, 1, 1), "enc_content.model.2.conv.bias": (256,),
        "enc_content.model.3.model.3.model.1.conv.weight": (256, 256, 3, 3),
        "dec.model.0.model.0.model.0.conv.weight": (256, 256, 3, 3), "dec.model.2.conv.weight": (128, 256, 5, 5),
        "dec.model.4.norm.gamma": (64,), "dec.model.5.conv.weight": (3, 64, 7, 7), "mlp.model.2.fc.bias": (4096,),
    }  # fmt: skip
    assert {name: shapes.get(name) for name in wanted} == wanted
    assert len(judge) == 30
    assert tuple(judge["cnns.2.4.weight"].shape) == (1, 512, 1, 1)
    assert tuple(judge["cnns.0.3.conv.weight"].shape) == (512, 256, 4, 4)


def test_statistics_in_old_files_are_ignored():
    network = tiny()
    state = network.state_dict()
    block = "b.dec.model.0.model.1.model.0.norm."
    network.load_state_dict({**state, block + "running_mean": torch.zeros(16), block + "running_var": torch.ones(16)})
    with pytest.raises(RuntimeError, match="Unexpected"):
        network.load_state_dict({**state, block + "running_meat": torch.zeros(16)})


def test_the_generator_is_its_formula():
    """Domains of one and of three channels, images that are not square."""
    torch.manual_seed(0)
    network = Generator((4, 16, 24), (4, 16, 24), **TINY, channels_of_a=1).double()
    state = network.state_dict()
    source, z = torch.randn(2, 4, 16, 24).double(), torch.randn(2, 6).double()
    ab = drawn(content_of(source[:, :1], state, "a.enc_content"), state, "b.dec", moments_of(z[:, :3], state, "b.mlp"))
    ba = drawn(content_of(source[:, 1:], state, "b.enc_content"), state, "a.dec", moments_of(z[:, 3:], state, "a.mlp"))
    assert (ab.shape[1], ba.shape[1]) == (3, 1)
    torch.testing.assert_close(network(source, z), torch.cat([ab, ba], 1), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(network(source), network(source, torch.zeros(2, 6).double()))


def test_the_style_encoder_is_its_formula():
    network = tiny().double()
    state, x = network.state_dict(), torch.randn(2, 2, 16, 16).double()
    y = x
    for i, stride in enumerate((1, 2, 2, 2)):
        y = conv(y, state, f"a.enc_style.model.{i}", stride)
    weight = state["a.enc_style.model.5.weight"][:, :, 0, 0]
    style = y.mean((2, 3)) @ weight.T + state["a.enc_style.model.5.bias"]
    content, found = network.encode(x, "a")
    torch.testing.assert_close(found, style, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(content, content_of(x, state, "a.enc_content"), rtol=1e-9, atol=1e-9)
    z = torch.randn(2, 6).double()
    together = network(torch.cat([x, x], 1), z)
    torch.testing.assert_close(network.decode(content, z[:, :3], "b"), together[:, :2], rtol=1e-9, atol=1e-9)


def test_each_translation_hears_of_its_own_source_and_style_only():
    network = tiny()
    source = torch.randn(1, 4, 16, 16, requires_grad=True)
    z = torch.randn(1, 6, requires_grad=True)
    ab = network(source, z)[:, :2].square().sum()
    of_source, of_z = torch.autograd.grad(ab, (source, z))
    assert of_source[:, :2].abs().sum() > 0
    assert not of_source[:, 2:].any()
    assert of_z[:, :3].abs().min() > 0
    assert not of_z[:, 3:].any()


def test_adain_sets_mean_and_deviation():
    x, moments = torch.randn(3, 5, 9, 7) * 4 + 2, torch.randn(3, 10)
    y = AdaIN()(x, moments)
    torch.testing.assert_close(y.mean((2, 3)), moments[:, :5], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(y.std((2, 3), correction=0), moments[:, 5:].abs(), atol=1e-4, rtol=1e-4)


def test_layer_norm_is_of_the_whole_image():
    norm, x = LayerNorm(4), torch.randn(2, 4, 5, 5) * 3 + 1
    nn.init.ones_(norm.gamma)
    y = norm(x)
    torch.testing.assert_close(y.mean((1, 2, 3)), torch.zeros(2), atol=1e-6, rtol=0)
    assert y.mean((2, 3)).abs().max() > 0.01  # single channels keep theirs
    torch.testing.assert_close(norm(7 * x), y, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", [(16, 16), (20, 28), (32, 16)])
def test_sizes_come_from_the_input(size):
    assert tiny()(torch.randn(2, 4, *size), torch.randn(2, 6)).shape == (2, 4, *size)


def test_gradients_reach_all_parameters():
    network, source, z = tiny(), torch.randn(2, 4, 16, 16), torch.randn(2, 6)
    fake = network(source, z)
    styles = [network.encode(fake[:, :2], "b")[1], network.encode(fake[:, 2:], "a")[1]]
    (fake.square().mean() + sum(s.square().mean() for s in styles)).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_starts_as_published():
    network = Generator((2, 16, 16), (2, 16, 16), width=32, blocks=1)
    weight = network.a.dec.model[0].model[0].model[0].conv.weight
    assert weight.std().item() == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)
    assert Discriminator((1, 16, 16), scales=1).cnns[0][3].conv.weight.std().item() == pytest.approx(0.02, rel=0.02)
    biases = [p for name, p in network.named_parameters() if name.endswith(".bias")]
    assert biases
    assert not any(p.any() for p in biases)


def test_the_discriminator_is_its_formula():
    torch.manual_seed(0)
    network = Discriminator((3, 28, 20), width=4, layers=2, scales=2).double()
    state, x = network.state_dict(), torch.randn(2, 3, 28, 20).double()
    ones = F.conv2d(torch.ones_like(x), torch.ones(3, 1, 3, 3).double(), stride=2, padding=1, groups=3)
    smaller = F.conv2d(x, torch.ones(3, 1, 3, 3).double(), stride=2, padding=1, groups=3) / ones
    logits, seen = [], []
    for scale, y in enumerate((x, smaller)):
        for i in range(2):
            y = conv(y, state, f"cnns.{scale}.{i}", 2, act=lambda t: F.leaky_relu(t, 0.2))
            seen.append(y)
        weight, bias = state[f"cnns.{scale}.2.weight"], state[f"cnns.{scale}.2.bias"]
        logits.append(F.conv2d(y, weight, bias).flatten(1))
    assert network.parts == (7 * 5, 3 * 2) == tuple(part.shape[1] for part in logits)
    torch.testing.assert_close(network(x), torch.cat(logits, 1), rtol=1e-9, atol=1e-12)
    for found, expected in zip(network.features(x), seen, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 28, 36), (2, 65, 47)])
def test_parts_count_the_places(shape):
    network = Discriminator(shape, width=2, scales=2, layers=3)
    logits = network(torch.randn(2, *shape))
    assert logits.shape == (2, sum(network.parts))
    logits.square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_autocast_stays_near():
    network, source, z = tiny(), torch.randn(2, 4, 16, 16), torch.randn(2, 6)
    with torch.autocast("cpu", torch.bfloat16):
        low = network(source, z).float()
    exact = network(source, z)
    assert (low - exact).std() < 0.1 * exact.std()


def test_refusals():
    with pytest.raises(ConfigError, match=r"no labels.*--conditional false"):
        Generator((6, 64, 64), (6, 64, 64), 3)
    with pytest.raises(ConfigError, match=r"add --conditional false"):
        Discriminator((3, 64, 64), 2)
    with pytest.raises(ConfigError, match=r"side by side.*--data.resolution 64"):
        Generator((6, 64, 64), (3, 64, 64))
    with pytest.raises(ConfigError, match=r"5 channels.*channels_of_a 2"):
        Generator((5, 64, 64), (5, 64, 64))
    with pytest.raises(ConfigError, match=r"4 channels do not divide.* at 4"):
        Generator((4, 64, 64), (4, 64, 64), channels_of_a=4)
    with pytest.raises(ConfigError, match=r"8x64 are too small for the style encoder.* 16; type"):
        Generator((2, 8, 64), (2, 8, 64))
    with pytest.raises(ConfigError, match=r"32x32 are too small for 3 scales with 4 layers, which needs 61.*scales 1"):
        Discriminator((3, 32, 32))
    with pytest.raises(ValueError, match=r"18x16.*multiples of 4.*20x16"):
        tiny()(torch.randn(1, 4, 18, 16))
    Discriminator((1, 61, 61), width=2)(torch.zeros(1, 1, 61, 61))  # and that is enough
