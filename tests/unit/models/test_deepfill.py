import pytest
import torch
from hole_helpers import count, holed
from torch import nn
from torch.nn import functional as F

from organza.config import ConfigError
from organza.layers.contextual import contextual_attention, gated
from organza.layers.holes import pasted
from organza.models.deepfill import Discriminator, Gated, Generator, same


def test_official_parameter_counts():
    with torch.device("meta"):
        network = Generator((4, 256, 256), (3, 256, 256))
    assert (count(network), count(network.stage1), len(network.stage1)) == (4_052_478, 1_631_151, 17)
    assert network.multiple == 8
    assert count(Discriminator((4, 256, 256))) == 5_946_816
    judge = Discriminator((7, 64, 64), skip=3)
    assert count(judge) == 5_946_816
    torch.manual_seed(0)
    x = torch.randn(1, 7, 64, 64)
    assert torch.equal(judge.eval()(x), judge(torch.cat([torch.zeros(1, 3, 64, 64), x[:, 3:]], 1)))


def test_a_wide_open_gate_leaves_an_elu():
    torch.manual_seed(0)
    layer, x = Gated(3, 8).double(), torch.randn(2, 3, 6, 7).double()
    nn.init.constant_(layer.conv.bias[4:], 100.0)
    expected = F.elu(F.conv2d(x, layer.conv.weight[:4], padding=1))
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)
    nn.init.constant_(layer.conv.bias[4:], -100.0)
    assert layer(x).abs().max() < 1e-12
    assert torch.equal(gated(torch.tensor([[[[-1.0]], [[0.0]]]]), "relu"), torch.zeros(1, 1, 1, 1))


def test_a_new_network_hears_of_its_source():
    """Both stages answer another picture with another one, neither silent nor at the ends of the range."""
    torch.manual_seed(0)
    network = Generator((4, 64, 64), (3, 64, 64), width=16)
    with torch.no_grad():
        stages = network.both(holed(height=64, width=64))  # of two pictures
    for one, other in stages:
        assert 0.05 < (one - other).square().mean().sqrt() < 1
        assert (one.abs() > 0.99).float().mean() < 0.05


@pytest.mark.parametrize(("side", "kernel", "stride", "dilation", "pads"), [
    (8, 3, 2, 1, (0, 1)), (7, 3, 2, 1, (1, 1)), (8, 5, 2, 1, (1, 2)), (8, 3, 1, 4, (4, 4)), (8, 5, 1, 1, (2, 2)),
])  # fmt: skip
def test_padding_of_tensorflow(side, kernel, stride, dilation, pads):
    """The tables of TensorFlow's documentation of SAME."""
    conv, x = nn.Conv2d(1, 1, kernel, stride, dilation=dilation), torch.ones(1, 1, side, side)
    wide = same(x, conv)
    assert wide.shape[2:] == (side + sum(pads), side + sum(pads))
    assert wide[0, 0, pads[0] :, pads[0] :][0, 0] == 1
    assert wide[0, 0, : pads[0]].sum() == 0
    assert conv(wide).shape[2] == -(-side // stride)


def attended(x, mask):
    """Place by place, in Python."""
    b, _, height, width = x.shape
    h, w = height // 2, width // 2
    result = torch.zeros_like(x)
    for n in range(b):
        small = F.pad(x[n, :, ::2, ::2], (1, 1, 1, 1))
        hole = F.pad(mask[n, 0, ::2, ::2], (1, 1, 1, 1))
        cut = [(small[:, i : i + 3, j : j + 3], hole[i : i + 3, j : j + 3]) for i in range(h) for j in range(w)]
        count = len(cut)
        s = torch.tensor([[float((f * g).sum() / max(g.norm(), 1e-4)) for g, _ in cut] for f, _ in cut]).to(x)
        swap = [(k % h) * w + k // h for k in range(count)]  # the k-th place counted by columns
        for order in (range(count), swap):
            at = {place: number for number, place in enumerate(order)}
            old, order = s.clone(), list(order)
            for i in range(count):
                for j in range(count):
                    for step in (-1, 1):
                        p, q = at[i] + step, at[j] + step
                        if 0 <= p < count and 0 <= q < count:
                            s[i, j] += old[order[p], order[q]]
        free = torch.tensor([float(m.sum() == 0) for _, m in cut]).to(x)
        a = (s * free * 10).softmax(1) * free
        wide = F.pad(x[n], (1, 1, 1, 1))
        drawn = torch.zeros_like(wide)
        for p in range(count):
            i, j = p // w, p % w
            for q in range(count):
                k, m = q // w, q % w
                drawn[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += (
                    a[p, q] * wide[:, 2 * k : 2 * k + 4, 2 * m : 2 * m + 4] / 4
                )
        result[n] = drawn[:, 1:-1, 1:-1]
    return result


def test_attention_is_the_formula():
    torch.manual_seed(0)
    x, mask = torch.randn(2, 2, 8, 10).double() / 3, torch.zeros(2, 1, 8, 10).double()
    mask[0, :, 2:5, 3:6] = 1
    mask[1, :, :3] = 1
    torch.testing.assert_close(contextual_attention(x, mask), attended(x, mask), rtol=1e-5, atol=1e-6)


def test_attention_copies_what_is_alike():
    """A texture of period 4 with a hole of zeros in it comes back, where its edge is seen; the hole gives nothing."""
    rows = torch.arange(32)
    texture = torch.stack([(rows[:, None] // 2 % 2 * 2.0 - 1).expand(32, 32), torch.ones(32, 32)])[None] * 3
    mask = torch.zeros(1, 1, 32, 32)
    mask[:, :, 12:20, 12:20] = 1
    made = contextual_attention(texture, mask)
    torch.testing.assert_close(made[..., 4:-4, 4:-4], texture[..., 4:-4, 4:-4], rtol=0, atol=1e-3)
    assert contextual_attention(texture, torch.ones_like(mask)).abs().max() == 0


def test_generator_is_the_formula():
    torch.manual_seed(0)
    network = Generator((4, 16, 24), (3, 16, 24), width=4).double()
    source = holed(height=16, width=24).double()
    mask = (source[:, 3:] > 0).double()

    def layer(stage, name, x, stride=1, dilation=1, up=False):
        weight, bias = (stage[name].conv.get_parameter(part) for part in ("weight", "bias"))
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3) if up else x
        reach = (weight.shape[2] - 1) * dilation
        low = (reach - 1) // 2 if stride == 2 else reach // 2
        high = reach - low - (stride == 2)
        x = F.conv2d(F.pad(x, (low, high, low, high)), weight, bias, stride, dilation=dilation)
        if weight.shape[0] == 3:
            return x.tanh()
        value, gate = x[:, : len(weight) // 2], x[:, len(weight) // 2 :]
        return (F.relu(value) if name == "pmconv6" else F.elu(value)) * gate.sigmoid()

    def run(stage, x, names):
        dilations = {"conv7": 2, "conv8": 4, "conv9": 8, "conv10": 16}
        dilations |= {f"x{name}": d for name, d in dilations.items()}
        for name in names:
            halves = name.removeprefix("x").removeprefix("pm") in ("conv2", "conv4")
            doubles = name.removeprefix("all") in ("conv13", "conv15")
            x = layer(stage, name, x, 1 + halves, dilations.get(name, 1), doubles)
        return x

    start = torch.cat([source[:, :3] * (1 - mask), torch.ones_like(mask), mask], 1)
    first = run(network.stage1, start, [f"conv{n}" for n in range(1, 18)])
    seen = first * mask + source[:, :3] * (1 - mask)
    dilated = run(network.stage2, seen, [f"xconv{n}" for n in range(1, 11)])
    copied = run(network.stage2, seen, [f"pmconv{n}" for n in range(1, 7)])
    copied = contextual_attention(copied, mask[:, :, ::4, ::4])
    copied = run(network.stage2, copied, ["pmconv9", "pmconv10"])
    second = run(network.stage2, torch.cat([dilated, copied], 1), [f"allconv{n}" for n in range(11, 18)])
    found = network.both(source)
    torch.testing.assert_close(found[0], first)
    torch.testing.assert_close(found[1], second)
    torch.testing.assert_close(network(source), second * mask + source[:, :3] * (1 - mask))


@pytest.mark.parametrize(("channels", "height", "width"), [(3, 32, 24), (1, 48, 16), (4, 24, 40)])
def test_shapes_range_and_gradients(channels, height, width):
    torch.manual_seed(0)
    source = holed(channels, height, width)
    network = Generator((channels + 1, height, width), (channels, height, width), width=8)
    judge = Discriminator((2 * channels + 1, height, width), width=4, skip=channels)
    coarse, fine = network.both(source)
    made = network(source)
    assert made.shape == coarse.shape == fine.shape == (2, channels, height, width)
    assert -1 <= made.min() < made.max() <= 1
    (judge(torch.cat([source, made], 1)).square().sum() + coarse.square().sum()).backward()
    for part in (network, judge):
        for name, p in part.named_parameters():
            assert p.grad is not None, name
            assert p.grad.any() or name.endswith("bias"), name
    assert network(torch.cat([source, source], 2)).shape == (2, channels, 2 * height, width)


def test_what_was_drawn_is_not_drawn_again():
    torch.manual_seed(0)
    source, network = holed(3, 32, 24), Generator((4, 32, 24), (3, 32, 24), width=8)
    passes = []
    network.stage1["conv1"].register_forward_hook(lambda *_: passes.append(1))
    made, (coarse, fine) = network(source), network.drawn(source)
    assert len(passes) == 1
    torch.testing.assert_close(made, pasted(source, fine))
    (made.sum() + coarse.sum()).backward()  # one graph, with both
    assert network.stage1["conv1"].conv.weight.grad.any()
    again = network.drawn(source)
    assert len(passes) == 2, "once: its graph is spent"
    torch.testing.assert_close(again[1], fine)
    network(source)
    network.drawn(source.clone())
    with torch.no_grad():
        network(source)
    network.drawn(source)
    assert len(passes) == 6, "of another source, or without gradients, it is drawn anew"


def test_refusals():
    with pytest.raises(ConfigError, match=r"--data\.degrade hole"):
        Generator((3, 32, 32), (3, 32, 32))
    with pytest.raises(ConfigError, match="multiples of 8"):
        Generator((4, 36, 32), (3, 36, 32))
    with pytest.raises(ConfigError, match="multiple of 4"):
        Generator((4, 32, 32), (3, 32, 32), width=6)
    with pytest.raises(ConfigError, match="no labels"):
        Generator((4, 32, 32), (3, 32, 32), 2)
    with pytest.raises(ConfigError, match="skip is 4"):
        Discriminator((4, 32, 32), skip=4)
    with pytest.raises(ConfigError, match="too small"):
        Discriminator((4, 4, 4))
