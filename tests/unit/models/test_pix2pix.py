import pytest
import torch
from torch import nn
from torch.nn import functional as F

from organza.config import ConfigError
from organza.layers.upsample import UpsampleConv2d
from organza.models.pix2pix import Discriminator, Generator

SHAPES = [
    ((3, 64, 64), (3, 64, 64)),
    ((1, 28, 28), (2, 28, 28)),
    ((4, 48, 32), (1, 48, 32)),
    ((2, 10, 14), (3, 10, 14)),
]


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def square(channels, side=256):
    return channels, side, side


@pytest.mark.parametrize(
    ("side", "norm", "count"),
    [
        (256, "batch", 54_413_955),
        (256, "instance", 54_409_603),
        (128, "batch", 41_828_995),
        (128, "instance", 41_825_667),
    ],
)
def test_official_parameter_counts_of_the_generator(side, norm, count):
    with torch.device("meta"):
        assert parameters(Generator(square(3, side), square(3, side), norm=norm)) == count


@pytest.mark.parametrize(
    ("channels", "layers", "norm", "count"),
    [
        (3, 3, "instance", 2_764_737), (3, 3, "batch", 2_765_633), (6, 3, "instance", 2_767_809),
        (6, 3, "batch", 2_768_705), (3, 1, "instance", 136_385), (3, 2, "instance", 662_977),
        (3, 4, "instance", 6_959_553), (3, 5, "instance", 11_154_369), (3, 1, "batch", 136_513),
        (3, 2, "batch", 663_361), (3, 4, "batch", 6_960_961), (3, 5, "batch", 11_156_289), (3, 0, "instance", 8_705),
        (3, 0, "batch", 8_832), (6, 0, "instance", 8_897), (6, 0, "batch", 9_024),
    ],
)  # fmt: skip
def test_official_parameter_counts_of_the_discriminator(channels, layers, norm, count):
    with torch.device("meta"):
        assert parameters(Discriminator(square(channels), layers=layers, norm=norm)) == count


def test_official_keys_of_the_generator():
    with torch.device("meta"):
        state = Generator(square(3), square(3)).state_dict()
    assert len(state) == 82
    inner, path = set(), "model.model."
    for depth in range(1, 8):
        path += "1.model." if depth == 1 else "3.model."
        convolutions = ("1", "3") if depth == 7 else ("1", "5")
        batch_norms = ("4",) if depth == 7 else ("2", "6")
        inner |= {f"{path}{number}.weight" for number in convolutions}
        inner |= {
            f"{path}{number}.{what}"
            for number in batch_norms
            for what in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        }
    assert set(state) == inner | {"model.model.0.weight", "model.model.3.weight", "model.model.3.bias"}
    assert state["model.model.3.weight"].shape == (128, 3, 4, 4)
    assert state["model.model.1.model.5.weight"].shape == (256, 64, 4, 4)


def test_official_keys_of_the_discriminator():
    with torch.device("meta"):
        state = Discriminator(square(6)).state_dict()
        blurred = Discriminator(square(3), norm="instance", antialias=True).state_dict()
        pixels = Discriminator(square(6), layers=0).state_dict()
    assert {key.split(".")[1] for key in state} == {"0", "2", "3", "5", "6", "8", "9", "11"}
    assert {key for key in state if key.endswith("bias")} == {f"model.{n}.bias" for n in (0, 3, 6, 9, 11)}
    assert {key for key in blurred if key.endswith("filt")} == {"model.2.filt", "model.6.filt", "model.10.filt"}
    assert {key.split(".")[1] for key in blurred if key.endswith("weight")} == {"0", "3", "7", "11", "14"}
    assert blurred["model.6.filt"].shape == (128, 1, 3, 3)
    assert {key.split(".")[0] for key in pixels} == {"net"}


@pytest.mark.parametrize(("layers", "side"), [(1, 126), (2, 62), (3, 30), (4, 14), (5, 6), (0, 256)])
@pytest.mark.parametrize("antialias", [False, True])
def test_official_number_of_logits(layers, side, antialias):
    with torch.device("meta"):
        network = Discriminator(square(3), layers=layers, norm="instance", antialias=antialias)
        logits = network(torch.empty(1, 3, 256, 256))
    assert logits.shape == (1, side**2)
    assert network.parts == (side**2,)


@pytest.mark.parametrize(("layers", "field"), [(0, 1), (1, 16), (2, 34), (3, 70), (4, 142), (5, 286)])
def test_receptive_field(layers, field):
    torch.manual_seed(0)
    network = Discriminator((1, 448, 448), layers=layers, norm="none", width=1).double()
    x = torch.randn(1, 1, 448, 448, dtype=torch.float64, requires_grad=True)
    logits = network(x)
    side = round(logits.shape[1] ** 0.5)
    logits[0, side // 2 * side + side // 2].backward()
    rows, columns = x.grad[0, 0].nonzero().unbind(1)
    assert rows.max() - rows.min() + 1 == columns.max() - columns.min() + 1 == field


@pytest.mark.parametrize(
    ("side", "downs"), [((64, 64), 6), ((256, 256), 8), ((512, 1024), 8), ((28, 28), 2), ((48, 32), 4), ((6, 10), 1)]
)
def test_as_many_halvings_as_the_sides_allow(side, downs):
    with torch.device("meta"):
        network = Generator((3, *side), (3, *side))
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == downs
    assert network.multiple == 2**downs
    assert sum(isinstance(m, nn.Dropout) for m in network.modules()) == max(downs - 5, 0)


def normed(x, state, key):
    """Batch norm by the batch."""
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    gain, bias = state[f"{key}.weight"].view(1, -1, 1, 1), state[f"{key}.bias"].view(1, -1, 1, 1)
    return gain * (x - mean) / (variance + 1e-5).sqrt() + bias


def test_generator_is_the_formula():
    """Five halvings, written out; official code changes the skipped features in place, which must change nothing."""
    torch.manual_seed(0)
    network, x = Generator((2, 32, 32), (3, 32, 32), width=4).double(), torch.randn(2, 2, 32, 32).double()
    s = {key.removeprefix("model.model."): value for key, value in network.state_dict().items()}
    a = F.conv2d(x, s["0.weight"], stride=2, padding=1)
    kept, path = [F.leaky_relu(a, 0.2)], "1.model."
    for _ in range(3):
        found = F.conv2d(kept[-1], s[f"{path}1.weight"], stride=2, padding=1)
        kept.append(F.leaky_relu(normed(found, s, f"{path}2"), 0.2))
        path += "3.model."
    found = F.relu(F.conv2d(kept[-1], s[f"{path}1.weight"], stride=2, padding=1))
    found = normed(F.conv_transpose2d(found, s[f"{path}3.weight"], stride=2, padding=1), s, f"{path}4")
    for skipped in kept[:0:-1]:
        path = path.removesuffix("3.model.")
        found = F.conv_transpose2d(F.relu(torch.cat([skipped, found], 1)), s[f"{path}5.weight"], stride=2, padding=1)
        found = normed(found, s, f"{path}6")
    found = F.relu(torch.cat([kept[0], found], 1))
    found = F.conv_transpose2d(found, s["3.weight"], s["3.bias"], stride=2, padding=1).tanh()
    torch.testing.assert_close(network(x), found)


def test_discriminator_is_the_formula():
    torch.manual_seed(0)
    network, x = Discriminator((2, 32, 24), width=4).double(), torch.randn(2, 2, 32, 24).double()
    s = {key.removeprefix("model."): value for key, value in network.state_dict().items()}
    found = [F.leaky_relu(F.conv2d(x, s["0.weight"], s["0.bias"], stride=2, padding=1), 0.2)]
    for number, stride in ((2, 2), (5, 2), (8, 1)):
        convolved = F.conv2d(found[-1], s[f"{number}.weight"], stride=stride, padding=1)
        found.append(F.leaky_relu(normed(convolved, s, str(number + 1)), 0.2))
    features = network.features(x)
    assert len(features) == 4
    for mine, expected in zip(features, found, strict=True):
        torch.testing.assert_close(mine, expected)
    logits = F.conv2d(found[-1], s["11.weight"], s["11.bias"], padding=1)
    torch.testing.assert_close(network(x), logits.flatten(1))


@pytest.mark.parametrize(("source", "shape"), SHAPES)
@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_shapes_range_and_gradients(source, shape, norm, upsample):
    torch.manual_seed(0)
    generator = Generator(source, shape, width=4, norm=norm, upsample=upsample)
    layers = 3 if min(shape[1:]) >= 24 else 1
    judge = Discriminator((source[0] + shape[0], *shape[1:]), width=4, norm=norm, layers=layers)
    x = torch.rand(3, *source) * 2 - 1
    images = generator(x)
    assert images.shape == (3, *shape)
    assert -1 <= images.min() < images.max() <= 1
    logits = judge(torch.cat([x, images], 1))
    assert logits.shape == (3, judge.parts[0])
    logits.square().sum().backward()
    for network in (generator, judge):
        for name, p in network.named_parameters():
            assert p.grad is not None, name
            assert p.grad.any() or name.endswith("bias"), name  # a norm takes what a bias before it adds
    assert any(isinstance(m, UpsampleConv2d) for m in generator.modules()) == (upsample == "resize")


def test_other_sizes_than_those_it_was_built_for():
    network = Generator((3, 32, 32), (3, 32, 32), width=4, downs=3).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 40, 72)).shape == (1, 3, 40, 72)
    with pytest.raises(ValueError, match="multiples of 8; pad them to 40x32"):
        network(torch.zeros(1, 3, 33, 32))


def test_dropout_is_the_noise():
    torch.manual_seed(0)
    network = Generator(square(3, 64), square(3, 64), width=8)
    x = torch.rand(2, 3, 64, 64)
    assert (network(x) - network(x)).abs().max() > 1e-4
    network.eval()
    assert torch.equal(network(x), network(x))
    still = Generator(square(3, 64), square(3, 64), width=8, dropout=0.0)
    assert torch.equal(still(x), still(x))
    assert set(still.state_dict()) == set(network.state_dict())


def test_labels_change_what_both_players_see():
    torch.manual_seed(0)
    generator, judge = (
        Generator((1, 16, 16), (1, 16, 16), 3, width=8).eval(),
        Discriminator((2, 32, 32), 3, width=8).eval(),
    )
    x, pair, one, two = torch.randn(2, 1, 16, 16), torch.randn(2, 2, 32, 32), torch.tensor([1, 1]), torch.tensor([2, 2])
    assert (generator(x, labels=one) - generator(x, labels=two)).abs().max() > 1e-5
    assert (judge(pair, one) - judge(pair, two)).abs().max() > 1e-6


def test_initial_weights():
    torch.manual_seed(0)
    network = Generator(square(3, 64), square(3, 64))
    deepest = [m for m in network.modules() if isinstance(m, nn.Conv2d)][-1]
    gains = torch.cat([m.weight for m in network.modules() if isinstance(m, nn.BatchNorm2d)])
    assert 0.0199 < deepest.weight.std().item() < 0.0201
    assert abs(gains.mean().item() - 1) < 2e-3
    assert 0.019 < gains.std().item() < 0.021


def test_refusals():
    with pytest.raises(ConfigError, match="recipe 'gan'"):
        Generator((2,), (3, 8, 8))
    with pytest.raises(ConfigError, match=r"28x28 shall become 32x32; type --data\.resolution 32 32"):
        Generator((3, 28, 28), (3, 32, 32))
    with pytest.raises(ConfigError, match=r"multiples of 16; type --data\.resolution 32 32"):
        Generator((3, 28, 28), (3, 28, 28), downs=4)
    with pytest.raises(ConfigError, match=r"27x28 cannot be halved; type --data\.resolution 28 28"):
        Generator((3, 27, 28), (3, 27, 28))
    with pytest.raises(ConfigError, match=r"5 layers leave nothing of a side of 28 pixels.*layers 3"):
        Discriminator((3, 28, 28), layers=5)
    with pytest.raises(ConfigError, match=r"from 0 .* to 5"):
        Discriminator((3, 28, 28), layers=6)
