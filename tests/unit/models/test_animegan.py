import pytest
import torch
from torch.nn import functional as F

from organza.config import ConfigError
from organza.layers.spectral import add_spectral_norm
from organza.models.animegan import Discriminator, Generator


def count(module):
    return sum(p.numel() for p in module.parameters())


def tiny(shape=(3, 16, 16), **options):
    torch.manual_seed(0)
    return Generator(shape, shape, **{"width": 4, "blocks": 2, **options})


def test_published_sizes():
    with torch.device("meta"):
        maker, judge = Generator((3, 256, 256), (3, 256, 256)), Discriminator((3, 256, 256))
    assert count(maker) == 2_143_552
    assert count(judge) == 1_128_800
    assert judge.parts == (64 * 64,)


def test_names_of_published_files():
    with torch.device("meta"):
        state = Generator((3, 256, 256), (3, 256, 256)).state_dict()
    shapes = {name: tuple(weight.shape) for name, weight in state.items()}
    assert len(shapes) == 77
    wanted = {
        "block_a.0.1.weight": (32, 3, 7, 7), "block_a.0.2.bias": (32,), "block_b.0.1.weight": (128, 64, 3, 3),
        "block_c.1.layers.0.1.weight": (256, 128, 1, 1), "block_c.1.layers.1.1.weight": (256, 1, 3, 3),
        "block_c.1.layers.1.1.bias": (256,), "block_c.1.layers.2.weight": (256, 256, 1, 1),
        "block_c.1.layers.3.weight": (256,), "block_c.2.layers.1.1.weight": (512, 1, 3, 3),
        "block_c.5.1.weight": (128, 256, 3, 3), "block_e.2.1.weight": (32, 64, 7, 7),
        "out_layer.0.weight": (3, 32, 1, 1),
    }  # fmt: skip
    assert {name: shapes.get(name) for name in wanted} == wanted
    assert [name for name in shapes if name.endswith("1.bias")] == [
        f"block_c.{i}.layers.1.1.bias" for i in (1, 2, 3, 4)
    ]


def normed(x, state, name):
    x = (x - x.mean((1, 2, 3), keepdim=True)) / (x.var((1, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    return x * state[name + ".weight"].view(1, -1, 1, 1) + state[name + ".bias"].view(1, -1, 1, 1)


def leaky(x):
    return torch.where(x > 0, x, 0.2 * x)


def layer(x, state, name, stride=1, groups=1):
    weight, bias = state[name + ".1.weight"], state.get(name + ".1.bias")
    side = weight.shape[2] // 2
    border = (0, 1, 0, 1) if stride == 2 else (side,) * 4
    return leaky(
        normed(F.conv2d(F.pad(x, border, mode="reflect"), weight, bias, stride, groups=groups), state, name + ".2")
    )


def enlarged(x, size):
    """Linear, corners on corners, one side after the other."""
    for dim in (2, 3):
        places = torch.linspace(0, x.shape[dim] - 1, size[dim - 2], dtype=torch.float64)
        low = places.floor().long().clamp(max=x.shape[dim] - 2)
        share = (places - low).view(-1, *[1] * (3 - dim))
        x = x.index_select(dim, low) * (1 - share) + x.index_select(dim, low + 1) * share
    return x


def test_the_generator_is_its_formula():
    network = tiny().double()
    state = {name: torch.randn_like(p) for name, p in network.state_dict().items()}
    network.load_state_dict(state)
    x = torch.randn(2, 3, 20, 12).double()
    half = layer(layer(layer(x, state, "block_a.0"), state, "block_a.1", 2), state, "block_a.2")
    y = layer(layer(layer(half, state, "block_b.0", 2), state, "block_b.1"), state, "block_c.0")
    for i in (1, 2):
        name = f"block_c.{i}.layers"
        z = layer(y, state, name + ".0")
        z = layer(z, state, name + ".1", groups=z.shape[1])
        z = normed(F.conv2d(z, state[name + ".2.weight"]), state, name + ".3")
        y = y + z if i == 2 else z
    y = enlarged(layer(y, state, "block_c.3"), half.shape[2:])
    y = enlarged(layer(layer(y, state, "block_d.0"), state, "block_d.1"), x.shape[2:])
    y = layer(layer(layer(y, state, "block_e.0"), state, "block_e.1"), state, "block_e.2")
    y = F.conv2d(y, state["out_layer.0.weight"]).tanh()
    torch.testing.assert_close(network(x), y, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("channels", "size"), [(1, (8, 8)), (4, (16, 12)), (3, (13, 9))])
def test_sizes_and_channels(channels, size):
    network = Generator((channels, 32, 32), (3, 32, 32), width=4)
    found = network(torch.randn(2, channels, *size))
    assert found.shape == (2, 3, *size)
    assert found.abs().max() <= 1


def test_the_discriminator_is_its_formula():
    torch.manual_seed(0)
    network = Discriminator((3, 12, 10), width=4, layers=3).double()
    state = {name: torch.randn_like(p) for name, p in network.state_dict().items()}
    network.load_state_dict(state)
    images, seen = torch.randn(2, 3, 12, 10).double(), []
    x = images
    for i, (stride, norm) in enumerate(((1, False), (2, False), (1, True), (2, False), (1, True), (1, True))):
        x = F.conv2d(x, state[f"main.{i}.0.weight"], stride=stride, padding=1)
        x = leaky(normed(x, state, f"main.{i}.1") if norm else x)
        seen.append(x)
    assert [y.shape[1] for y in seen] == [2, 4, 8, 8, 16, 16]
    logits = F.conv2d(x, state["main.6.weight"], padding=1).flatten(1)
    assert network.parts == (3 * 3,) == (logits.shape[1],)
    torch.testing.assert_close(network(images), logits, rtol=1e-9, atol=1e-9)
    for found, expected in zip(network.features(images), seen, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_gradients_reach_all_parameters_with_spectral_norm():
    maker, judge = tiny(), add_spectral_norm(Discriminator((3, 16, 16), width=8))
    judge(maker(torch.randn(2, 3, 16, 16))).square().mean().backward()
    named = [*maker.named_parameters(), *judge.named_parameters()]
    assert [name for name, p in named if p.grad is None or not p.grad.any()] == []


def test_starts_as_published():
    judge = Discriminator((3, 32, 32), width=32)
    assert judge.main[-2][0].weight.std().item() == pytest.approx(0.02, rel=0.02)


def test_refusals():
    with pytest.raises(ConfigError, match=r"AnimeGAN reads no labels"):
        Generator((3, 64, 64), (3, 64, 64), 2)
    with pytest.raises(ConfigError, match=r"AnimeGAN reads no labels"):
        Discriminator((3, 64, 64), 2)
    with pytest.raises(ConfigError, match=r"7x32 are too small for AnimeGAN, which needs 8"):
        Generator((3, 7, 32), (3, 7, 32))
    with pytest.raises(ConfigError, match=r"7x32 are too small for 3 layers, which needs 8.*layers 2"):
        Discriminator((3, 7, 32))
