import math

import pytest
import torch
from torch.nn import functional as F

from organza.config import ConfigError
from organza.models.stargan_v2 import Discriminator, Generator, HighPass

TINY = {"width": 4, "max_width": 8, "style_dim": 5, "z_dim": 3, "mapping_width": 6}


def count(module):
    return sum(p.numel() for p in module.parameters())


def tiny(shape=(3, 32, 32), classes=2, **options):
    torch.manual_seed(0)
    return Generator(shape, shape, classes, **{**TINY, **options})


@pytest.mark.parametrize(
    ("side", "domains", "w_hpf", "sizes"),
    [
        (256, 2, 1.0, (43_467_395, 2_438_272, 20_916_928, 20_852_290)),
        (256, 3, 0.0, (33_892_995, 3_259_072, 20_949_760, 20_852_803)),
        (512, 3, 0.0, (33_964_099, 3_259_072, 20_978_656, 20_881_699)),
        (1024, 2, 0.0, (33_984_803, 2_438_272, 20_952_848, 20_888_210)),
        (128, 2, 0.0, (33_632_003, 2_438_272, 20_799_744, 20_735_106)),
    ],
)
def test_published_sizes(side, domains, w_hpf, sizes):
    with torch.device("meta"):
        network = Generator((3, side, side), (3, side, side), domains, w_hpf=w_hpf)
        judge = Discriminator((3, side, side), domains)
    parts = (network.generator, network.mapping_network, network.style_encoder, judge)
    assert tuple(count(part) for part in parts) == sizes
    assert judge.parts == (1,)
    assert (network.z_dim, network.multiple) == (16, side // 8 if w_hpf else side // 16)


def test_names_of_published_files():
    with torch.device("meta"):
        network, judge = Generator((3, 256, 256), (3, 256, 256), 2, w_hpf=1), Discriminator((3, 256, 256), 2)
    shapes = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    assert {name.split(".")[0] for name in shapes} == {"generator", "mapping_network", "style_encoder"}
    wanted = {
        "generator.from_rgb.weight": (64, 3, 3, 3), "generator.encode.0.norm1.weight": (64,),
        "generator.encode.2.conv1x1.weight": (512, 256, 1, 1), "generator.encode.6.conv2.bias": (512,),
        "generator.decode.0.norm1.fc.weight": (1024, 64), "generator.decode.6.conv1.weight": (64, 128, 3, 3),
        "generator.decode.6.norm2.fc.bias": (128,), "generator.to_rgb.0.bias": (64,),
        "generator.to_rgb.2.weight": (3, 64, 1, 1), "mapping_network.shared.0.weight": (512, 16),
        "mapping_network.shared.6.bias": (512,), "mapping_network.unshared.1.6.weight": (64, 512),
        "style_encoder.shared.6.conv2.weight": (512, 512, 3, 3), "style_encoder.shared.8.weight": (512, 512, 4, 4),
        "style_encoder.unshared.0.weight": (64, 512),
    }  # fmt: skip
    assert {name: shapes.get(name) for name in wanted} == wanted
    assert not any("conv1x1" in name for name in shapes if ".encode.3." in name or ".encode.5." in name)
    of_judge = {name: tuple(weight.shape) for name, weight in judge.state_dict().items()}
    assert of_judge["main.8.weight"] == (512, 512, 4, 4)
    assert of_judge["main.10.weight"] == (2, 512, 1, 1)
    assert not any("norm" in name for name in of_judge)


def test_a_filter_in_a_file_is_no_weight():
    for w_hpf in (0.0, 1.0):
        network = tiny(w_hpf=w_hpf, downs=1)
        network.load_state_dict({**network.state_dict(), "generator.hpf.filter": torch.ones(3, 3)})
        assert "generator.hpf.filter" not in network.state_dict()


def leaky(x):
    return torch.where(x > 0, x, 0.2 * x)


def normed(x):
    return (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()


def conv(x, state, name):
    weight = state[name + ".weight"]
    return F.conv2d(x, weight, state.get(name + ".bias"), padding=weight.shape[2] // 2)


def encoded(x, state, name, halves):
    def affine(y, norm):
        gain = state.get(f"{name}.{norm}.weight")
        bias = state.get(f"{name}.{norm}.bias")
        return y if gain is None else normed(y) * gain.view(1, -1, 1, 1) + bias.view(1, -1, 1, 1)

    y = conv(leaky(affine(x, "norm1")), state, name + ".conv1")
    y = F.avg_pool2d(y, 2) if halves else y
    y = conv(leaky(affine(y, "norm2")), state, name + ".conv2")
    short = conv(x, state, name + ".conv1x1") if name + ".conv1x1.weight" in state else x
    return (y + (F.avg_pool2d(short, 2) if halves else short)) / math.sqrt(2)


def decoded(x, style, state, name, enlarges, bare):
    def larger(y):
        return y.repeat_interleave(2, 2).repeat_interleave(2, 3) if enlarges else y

    def styled(y, norm):
        moments = style @ state[f"{name}.{norm}.fc.weight"].T + state[f"{name}.{norm}.fc.bias"]
        gain, bias = moments[:, : y.shape[1], None, None], moments[:, y.shape[1] :, None, None]
        return (1 + gain) * normed(y) + bias

    y = conv(larger(leaky(styled(x, "norm1"))), state, name + ".conv1")
    y = conv(leaky(styled(y, "norm2")), state, name + ".conv2")
    short = larger(x)
    short = conv(short, state, name + ".conv1x1") if name + ".conv1x1.weight" in state else short
    return y if bare else (y + short) / math.sqrt(2)


def drawn(x, style, state, downs, mask=None, w_hpf=0.0):
    x, kept, bare = conv(x, state, "from_rgb"), {}, w_hpf > 0
    for i in range(downs + 2):
        kept[x.shape[3]] = x
        x = encoded(x, state, f"encode.{i}", i < downs)
    for i in range(downs + 2):
        x = decoded(x, style, state, f"decode.{i}", i >= 2, bare)
        if mask is not None and x.shape[3] in (32, 64, 128):
            own = F.interpolate(mask[x.shape[3] > 32], x.shape[2:], mode="bilinear") * kept[x.shape[3]]
            wide = F.pad(own, (1, 1, 1, 1))
            around = sum(wide[:, :, a : a + x.shape[2], b : b + x.shape[3]] for a in range(3) for b in range(3))
            x = x + (9 * own - around) / w_hpf
    x = normed(x) * state["to_rgb.0.weight"].view(1, -1, 1, 1) + state["to_rgb.0.bias"].view(1, -1, 1, 1)
    return conv(leaky(x), state, "to_rgb.2")


def unsettled(network):
    """Random gains and biases, which start at one and zero."""
    network = network.double()
    for p in network.parameters():
        if p.dim() == 1:
            torch.nn.init.normal_(p)
    return network


def test_the_generator_is_its_formula():
    network = unsettled(tiny((3, 16, 24), downs=2))
    x, style = torch.randn(2, 3, 16, 24).double(), torch.randn(2, 5).double()
    expected = drawn(x, style, network.generator.state_dict(), 2)
    torch.testing.assert_close(network.translate(x, style), expected, rtol=1e-9, atol=1e-9)


def test_masks_lend_edges():
    network = unsettled(tiny((3, 64, 64), downs=3, w_hpf=2.0))
    x, style = torch.randn(1, 3, 64, 64).double(), torch.randn(1, 5).double()
    mask = (torch.rand(1, 1, 32, 32).double(), torch.rand(1, 1, 64, 64).double())
    state = network.generator.state_dict()
    expected = drawn(x, style, state, 3, mask, 2.0)
    torch.testing.assert_close(network.translate(x, style, mask), expected, rtol=1e-9, atol=1e-9)
    plain = drawn(x, style, state, 3, None, 2.0)
    assert (expected - plain).abs().max() > 1e-3
    torch.testing.assert_close(network.translate(x, style), plain, rtol=1e-9, atol=1e-9)
    nothing = (torch.zeros_like(mask[0]), torch.zeros_like(mask[1]))
    torch.testing.assert_close(network.translate(x, style, nothing), plain, rtol=1e-9, atol=1e-9)


def test_the_high_pass_takes_no_flat_parts():
    step = torch.zeros(1, 2, 8, 8)
    step[:, :, :, 4:] = 1.0
    y = HighPass(4.0)(step)[:, :, 1:-1, 1:-1]
    expected = torch.zeros(6)
    expected[2], expected[3] = -3 / 4, 3 / 4
    torch.testing.assert_close(y, expected.expand(1, 2, 6, 6))


def test_styles_from_noise():
    network = tiny(classes=3).double()
    z, domain, state = torch.randn(4, 3).double(), torch.tensor([2, 0, 1, 2]), network.mapping_network.state_dict()
    found = network.style_from(z, domain)
    for row, y in enumerate(domain.tolist()):
        x = z[row]
        for name in (*(f"shared.{i}" for i in (0, 2, 4, 6)), *(f"unshared.{y}.{i}" for i in (0, 2, 4, 6))):
            x = state[name + ".weight"] @ x + state[name + ".bias"]
            x = x if name.startswith("unshared") and name.endswith(".6") else x.clamp(min=0)
        torch.testing.assert_close(found[row], x, rtol=1e-9, atol=1e-12)


def read(x, state, name):
    """What style encoder and discriminator begin with, for images of 16 pixels."""
    x = conv(x, state, f"{name}.0")
    for i in (1, 2):
        x = encoded(x, state, f"{name}.{i}", True)
    return leaky(F.conv2d(leaky(x), state[f"{name}.4.weight"], state[f"{name}.4.bias"]))


def test_styles_of_images_and_the_discriminator():
    network = unsettled(tiny((2, 16, 16)))
    judge = unsettled(Discriminator((2, 16, 16), 2, width=4, max_width=8))
    x, domain = torch.randn(3, 2, 16, 16).double(), torch.tensor([1, 1, 0])
    state, of_judge = network.style_encoder.state_dict(), judge.state_dict()
    code, last = read(x, state, "shared")[:, :, 0, 0], read(x, of_judge, "main")
    logits = F.conv2d(last, of_judge["main.6.weight"], of_judge["main.6.bias"])[:, :, 0, 0]
    styles, answers = network.style_of(x, domain), judge(x, domain)
    assert answers.shape == (3, 1)
    for row, y in enumerate(domain.tolist()):
        style = state[f"unshared.{y}.weight"] @ code[row] + state[f"unshared.{y}.bias"]
        torch.testing.assert_close(styles[row], style, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(answers[row, 0], logits[row, y], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(judge.features(x)[-1], last, rtol=1e-9, atol=1e-9)


def test_forward_is_mapping_and_translation():
    network = tiny()
    x, z, labels = torch.randn(2, 3, 32, 32), torch.randn(2, 3), torch.tensor([1, 0])
    assert torch.equal(network(x, z, labels), network.translate(x, network.style_from(z, labels)))
    assert torch.equal(network(x, None, labels), network(x, torch.zeros(2, 3), labels))
    assert not torch.equal(network(x, z, labels), network(x, z, 1 - labels))


@pytest.mark.parametrize("shape", [(1, 28, 28), (4, 16, 40), (3, 12, 8)])
def test_other_shapes(shape):
    network, judge = tiny(shape), Discriminator(shape, 2, width=4, max_width=8)
    x, labels = torch.randn(2, *shape), torch.tensor([0, 1])
    assert network(x, torch.randn(2, 3), labels).shape == x.shape
    assert network.style_of(x, labels).shape == (2, 5)
    assert judge(x, labels).shape == (2, sum(judge.parts))


def test_gradients_reach_all_parameters():
    network, judge = tiny(mapping_width=32), Discriminator((3, 32, 32), 2, width=4, max_width=8)
    source, labels = torch.randn(2, 3, 32, 32), torch.tensor([0, 1])
    fake = network(source, torch.randn(2, 3), labels)
    (judge(fake, labels).square().mean() + network.style_of(fake, labels).square().mean()).backward()
    named = [*network.named_parameters(), *judge.named_parameters()]
    assert [name for name, p in named if p.grad is None or not p.grad.any()] == []


def test_every_domain_has_a_gradient_in_a_batch_of_one():
    """As processes that share a batch need it."""
    network = tiny(classes=3)
    fake = network(torch.randn(1, 3, 32, 32), torch.randn(1, 3), torch.tensor([1]))
    (fake.square().mean() + network.style_of(fake, torch.tensor([1])).square().mean()).backward()
    assert all(p.grad is not None for p in network.parameters())
    assert not network.mapping_network.unshared[0][0].weight.grad.any()
    assert network.mapping_network.unshared[1][0].weight.grad.any()


def test_starts_as_published():
    network = tiny(width=64, max_width=64, downs=1)
    weight = network.generator.encode[0].conv1.weight
    assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    assert not any(p.any() for name, p in network.named_parameters() if name.endswith("fc.bias"))


def test_refusals():
    with pytest.raises(ConfigError, match=r"StarGAN v2 translates between classes"):
        Generator((3, 64, 64), (3, 64, 64))
    with pytest.raises(ConfigError, match=r"StarGAN v2 translates between classes"):
        Discriminator((3, 64, 64))
    with pytest.raises(ConfigError, match=r"7x9 are too small for StarGAN v2, which needs 8"):
        Generator((3, 7, 9), (3, 7, 9), 2)
    network, x = tiny(), torch.zeros(1, 3, 32, 32)
    with pytest.raises(ValueError, match=r"labels are missing.*below 2"):
        network(x, torch.zeros(1, 3))
    with pytest.raises(ValueError, match=r"33x32.*multiples of 2.*34x32"):
        network(torch.zeros(1, 3, 33, 32), None, torch.tensor([0]))
    style, mask = torch.zeros(1, 5), (torch.ones(1, 1, 8, 8), torch.ones(1, 1, 8, 8))
    with pytest.raises(ValueError, match=r"masks need.*w_hpf 1"):
        network.translate(x, style, mask)
