"""StyleGAN's generator against a straight-line reference, grown, growing, and in every size."""

import math

import pytest
import style_reference as reference
import torch
from style_reference import random, shaken
from torch.autograd import gradgradcheck
from torch.nn import functional as F

from organza.config import ConfigError
from organza.draws import Draws, keys_of
from organza.models.stylegan import Discriminator, Generator, Style

B, Z, W = 3, 5, 6
BLUR = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]], dtype=torch.float64) / 16
SHAPES = [(3, 16, 16), (1, 24, 16), (4, 8, 28)]


def maker(shape=(3, 16, 16), classes=0, **changes) -> Generator:
    torch.manual_seed(0)
    options = {"z_dim": Z, "w_dim": W, "mapping_layers": 2, "width": 3, "max_width": 8, "fade": 100, "stable": 50}
    return shaken(Generator(shape, classes, **{**options, **changes})).eval()


def conv(x, t, name, gain=1.0):
    weight = t[f"{name}.weight"]
    return F.conv2d(
        x, weight * gain / math.sqrt(weight[0].numel()), t.get(f"{name}.bias"), padding=weight.shape[2] // 2
    )


def styled(x, t, name, w, picture):
    """Noise, bias, leaky ReLU, then the mean and the deviation of every channel (eq. 1)."""
    picture = t[f"{name}.noise_const"] if picture is None else picture
    x = reference.leaky(x + picture * t[f"{name}.strength"] + t[f"{name}.bias"])
    x = x - x.mean((2, 3), keepdim=True)
    x = x / (x.square().mean((2, 3), keepdim=True) + 1e-8).sqrt()
    scale, shift = reference.linear(w, t, f"{name}.affine").chunk(2, 1)
    return x * (1 + scale[:, :, None, None]) + shift[:, :, None, None]


def doubled(x):
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def drawn(network, ws, level, share, pictures=None):
    t = {name: tensor.detach() for name, tensor in network.synthesis.state_dict().items()}
    x, maps = t["const"][None].repeat(len(ws), 1, 1, 1), []
    for number in range(level + 1):
        name, noise = f"blocks.{number}", pictures[2 * number : 2 * number + 2] if pictures else (None, None)
        if number:
            x = conv(doubled(x), t, f"{name}.conv0", math.sqrt(2))
            x = reference.upfirdn(x, BLUR, pad=reference.square(1, 1))
        x = styled(x, t, f"{name}.style0", ws[:, 2 * number], noise[0])
        x = conv(x, t, f"{name}.conv1", math.sqrt(2))
        x = styled(x, t, f"{name}.style1", ws[:, 2 * number + 1], noise[1])
        maps.append(conv(x, t, f"to_image.{number}"))
    image = maps[-1] if share == 1 else share * maps[-1] + (1 - share) * doubled(maps[-2])
    for _ in range(network.synthesis.growth.top - level):
        image = doubled(image)
    return image


@pytest.mark.parametrize(("images", "level", "share"), [(0, 1, 1), (75, 2, 0.25), (10**6, 2, 1)])
def test_generator_while_it_grows(images, level, share):
    network = maker(classes=3)
    network.advance(images)
    z, labels = random(B, Z), torch.tensor([2, 0, 1])
    t = {name: tensor.detach() for name, tensor in network.state_dict().items()}
    ws = network.broadcast(reference.mapping(t, "mapping", z, labels))
    torch.testing.assert_close(network(z, labels), drawn(network, ws, level, share), rtol=1e-9, atol=1e-9)
    pictures = [random(B, 1, side, side, seed=side + i) for side in (4, 8, 16) for i in (0, 1)]
    ws = random(B, network.num_ws, W)
    expected = drawn(network, ws, level, share, pictures)
    assert expected.std() > 0.1
    torch.testing.assert_close(network.synthesis(ws, pictures), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_any_size_and_channels(shape):
    network = maker(shape, fade=0, stable=0)
    ws = random(B, network.num_ws, W)
    level = network.synthesis.growth.top
    assert network.num_ws == 2 * (level + 1)
    expected = drawn(network, ws, level, 1)
    assert expected.shape == (B, *shape)
    torch.testing.assert_close(network.synthesis(ws), expected, rtol=1e-9, atol=1e-9)
    discriminator = Discriminator(shape, width=3, max_width=8, first=1, blur=True, group=1).double()
    assert discriminator(expected).shape == (B,)


def test_published_parameter_counts():
    """The paper gives 26.2 M and 23.1 M; the colour layers of lower levels are not of it."""
    with torch.device("meta"):
        network, judge = Generator((3, 1024, 1024)), Discriminator((3, 1024, 1024), first=1, blur=True)
    colours = (network.synthesis.to_image, judge.from_image)
    for player, layers, millions in zip((network, judge), colours, (26.2, 23.1), strict=True):
        of_others = sum(p.numel() for layer in layers[:-1] for p in layer.parameters())
        assert (sum(p.numel() for p in player.parameters()) - of_others) / 1e6 == pytest.approx(millions, abs=0.05)
    assert network.num_ws == 18


def test_the_constant_is_ones_and_nothing_is_noisy_at_first():
    network = Generator((3, 16, 16), z_dim=Z, w_dim=W, width=4)
    assert torch.equal(network.synthesis.const, torch.ones(16, 4, 4))
    assert not any(p.any() for name, p in network.named_parameters() if name.endswith("strength"))
    assert network.mapping.decay == 0.995


def test_a_style_sets_mean_and_deviation():
    layer = shaken(Style(4, (16, 16), W))
    w = random(B, W, seed=3)
    scale, shift = layer.affine(w).detach().chunk(2, 1)
    y = layer(3 + 5 * random(B, 4, 16, 16), w, "const", None).detach()
    torch.testing.assert_close(y.mean((2, 3)), shift, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(y.std((2, 3), correction=0), (1 + scale).abs(), rtol=1e-6, atol=1e-9)


def test_the_filter_before_the_discriminator_shrinks():
    torch.manual_seed(0)
    network = Discriminator((2, 8, 8), width=3, max_width=8, blur=True, group=1, fade=0, stable=0).double()
    x = random(B, 2, 8, 8)
    t = {name: tensor.detach() for name, tensor in network.state_dict().items()}
    y, he = reference.leaky(conv(x, t, "from_image.1", math.sqrt(2))), math.sqrt(2)
    y = reference.leaky(conv(y, t, "blocks.0.conv1", he))
    y = reference.upfirdn(y, BLUR, pad=reference.square(1, 1))
    y = reference.leaky(conv(y, t, "blocks.0.conv2", he))
    y = F.avg_pool2d(y, 2)
    y = torch.cat([y, torch.full_like(y[:, :1], 1e-4)], 1)  # alone in its group: the root of 1e-8
    y = reference.leaky(conv(y, t, "last", he)).flatten(1)
    y = reference.leaky(y @ t["dense.weight"].T * he / math.sqrt(y.shape[1]) + t["dense.bias"])
    expected = y @ t["head.weight"].T / math.sqrt(y.shape[1]) + t["head.bias"]
    torch.testing.assert_close(network(x), expected[:, 0], rtol=1e-6, atol=1e-7)
    assert gradgradcheck(lambda v: network(v), x.requires_grad_(), fast_mode=True)


def test_training_draws_noise_and_styles_from_z_alone():
    network = maker(mixing=0.9).train()
    z = random(B, Z)
    made, order = network(z), torch.tensor([2, 0])
    torch.testing.assert_close(network(z[order]), made[order])
    assert torch.equal(made, network.synthesis(network.styles(z), "random", Draws(keys_of(z))))
    assert not torch.allclose(network(z + 1e-3), made, atol=0.05)


def test_second_derivatives_of_the_synthesis():
    network = maker((1, 8, 8), width=2, max_width=2)
    ws = random(1, network.num_ws, W).requires_grad_()
    assert gradgradcheck(lambda v: network.synthesis(v, "const"), ws, fast_mode=True)


@pytest.mark.parametrize("noise", ["const", "none"])
def test_second_derivatives_of_adaptive_normalisation(noise):
    layer, x, w = (
        shaken(Style(2, (3, 2), W)),
        random(2, 2, 3, 2, seed=1).requires_grad_(),
        random(2, W).requires_grad_(),
    )
    assert gradgradcheck(lambda v, u: layer(v, u, noise, None), (x, w))


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="mixing is -1"):
        maker(mixing=-1)
    with pytest.raises(ConfigError, match="cannot be halved"):
        maker((3, 15, 16))
