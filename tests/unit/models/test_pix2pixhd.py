import pytest
import torch
from torch import nn
from torch.nn import functional as F

from organza.config import ConfigError
from organza.models.pix2pixhd import Discriminator, Encoder, Generator, edges, pooled


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def square(channels, side=256):
    return channels, side, side


@pytest.mark.parametrize(
    ("channels", "alone", "with_local"),
    [(3, 182_443_267, 182_701_827), (36, 182_546_755, 182_857_059), (39, 182_556_163, 182_871_171)],
)
def test_official_parameter_counts_of_generators(channels, alone, with_local):
    with torch.device("meta"):
        assert parameters(Generator(square(channels), square(3))) == alone
        assert parameters(Generator(square(channels), square(3), local=True)) == with_local
        assert parameters(Encoder(square(3))) == 788_803


@pytest.mark.parametrize(
    ("channels", "scales", "count"), [(39, 2, 5_603_202), (39, 3, 8_404_803), (6, 2, 5_535_618), (6, 3, 8_303_427)]
)
def test_official_parameter_counts_of_discriminators(channels, scales, count):
    with torch.device("meta"):
        network = Discriminator(square(channels), scales=scales)
        logits = network(torch.empty(1, channels, 256, 256))
    assert parameters(network) == count
    assert network.parts == (35**2, 19**2, 11**2)[:scales]
    assert logits.shape == (1, sum(network.parts))


def both(names):
    return {f"{name}.{what}" for name in names for what in ("weight", "bias")}


def test_official_keys():
    body = [f"model.{n}" for n in (1, 4, 7, 10, 13, 25, 28, 31, 34)]
    body += [f"model.{n}.conv_block.{i}" for n in range(16, 25) for i in (1, 5)]
    local = ["model1_1.1", "model1_1.4", "model1_2.3", "model1_2.7"]
    local += [f"model1_2.{n}.conv_block.{i}" for n in range(3) for i in (1, 5)]
    with torch.device("meta"):
        alone = Generator(square(36), square(3)).state_dict()
        enhanced = Generator(square(36), square(3), local=True).state_dict()
        judge = Discriminator(square(39)).state_dict()
        encoder = Encoder(square(3)).state_dict()
    assert set(alone) == both([*body, "model.38"])
    assert set(enhanced) == both(body + local)
    assert set(judge) == both(f"scale{i}_layer{j}.0" for i in range(2) for j in range(5))
    assert set(encoder) == both(f"model.{n}" for n in (1, 4, 7, 10, 13, 16, 19, 22, 25, 29))
    assert alone["model.25.weight"].shape == (1024, 512, 3, 3)
    assert enhanced["model1_1.4.weight"].shape == (64, 32, 3, 3)
    assert all(enhanced[key].shape == alone[key].shape for key in both(body))


def instance(x):
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), correction=0, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


class Formulas:
    """Steps of the network by the keys of its state."""

    def __init__(self, network):
        self.s = network.state_dict()

    def conv(self, x, key, pad=0, stride=1, padding=0):
        x = F.pad(x, (pad,) * 4, mode="reflect") if pad else x
        return F.conv2d(x, self.s[f"{key}.weight"], self.s[f"{key}.bias"], stride=stride, padding=padding)

    def down(self, x, key):
        return F.relu(instance(self.conv(x, key, stride=2, padding=1)))

    def up(self, x, key):
        weight, bias = self.s[f"{key}.weight"], self.s[f"{key}.bias"]
        return F.relu(instance(F.conv_transpose2d(x, weight, bias, stride=2, padding=1, output_padding=1)))

    def block(self, x, key):
        inner = F.relu(instance(self.conv(x, f"{key}.conv_block.1", 1)))
        return x + instance(self.conv(inner, f"{key}.conv_block.5", 1))


def loud(network):
    """In double, with weights that are large enough to be seen."""
    for p in network.double().parameters():
        nn.init.normal_(p, 0.0, 0.3)
    return network


def pyramid(x):
    """Means of 3x3 pixels around every other one, of those that are there."""
    ones = torch.ones_like(x[:1, :1])
    window = torch.ones(1, 1, 3, 3, dtype=x.dtype)
    counts = F.conv2d(ones, window, stride=2, padding=1)
    return F.conv2d(x, window.expand(x.shape[1], 1, 3, 3), stride=2, padding=1, groups=x.shape[1]) / counts


def test_global_generator_is_the_formula():
    torch.manual_seed(0)
    network = loud(Generator((2, 16, 8), (3, 16, 8), width=4, downs=2, blocks=1))
    x, f = torch.randn(2, 2, 16, 8).double(), Formulas(network)
    h = F.relu(instance(f.conv(x, "model.1", 3)))
    h = f.block(f.down(f.down(h, "model.4"), "model.7"), "model.10")
    h = f.up(f.up(h, "model.11"), "model.14")
    torch.testing.assert_close(network(x), f.conv(h, "model.18", 3).tanh())


def test_local_enhancer_is_the_formula():
    torch.manual_seed(0)
    network = loud(Generator((2, 16, 24), (3, 16, 24), width=4, downs=1, blocks=1, local=True, local_blocks=1))
    x, f = torch.randn(2, 2, 16, 24).double(), Formulas(network)
    h = F.relu(instance(f.conv(pyramid(x), "model.1", 3)))
    coarse = f.up(f.block(f.down(h, "model.4"), "model.7"), "model.8")
    fine = f.down(F.relu(instance(f.conv(x, "model1_1.1", 3))), "model1_1.4")
    h = f.up(f.block(fine + coarse, "model1_2.0"), "model1_2.1")
    torch.testing.assert_close(network(x), f.conv(h, "model1_2.5", 3).tanh())
    assert network.multiple == 4


def test_discriminator_is_the_formula():
    torch.manual_seed(0)
    network = loud(Discriminator((2, 24, 17), width=4))
    x, f = torch.randn(2, 2, 24, 17).double(), Formulas(network)
    features, logits = [], []
    for scale, seen in ((1, x), (0, pyramid(x))):
        h = F.leaky_relu(f.conv(seen, f"scale{scale}_layer0.0", stride=2, padding=2), 0.2)
        features.append(h)
        for layer, stride in ((1, 2), (2, 2), (3, 1)):
            h = f.conv(h, f"scale{scale}_layer{layer}.0", stride=stride, padding=2)
            h = F.leaky_relu(instance(h), 0.2)
            features.append(h)
        logits.append(f.conv(h, f"scale{scale}_layer4.0", padding=2).flatten(1))
    found = network.features(x)
    assert len(found) == len(features)
    for mine, expected in zip(found, features, strict=True):
        torch.testing.assert_close(mine, expected)
    torch.testing.assert_close(network(x), torch.cat(logits, 1))
    assert tuple(part.shape[1] for part in logits) == network.parts


def test_sizes_of_features_at_256():
    with torch.device("meta"):
        found = Discriminator(square(39)).features(torch.empty(1, 39, 256, 256))
    assert [f.shape[2] for f in found] == [129, 65, 33, 34, 65, 33, 17, 18]


@pytest.mark.parametrize("options", [{}, {"local": True}, {"norm": "batch"}, {"upsample": "resize"}])
def test_shapes_range_and_gradients(options):
    torch.manual_seed(0)
    generator = Generator((5, 32, 16), (1, 32, 16), width=4, downs=2, blocks=1, **options)
    judge = Discriminator((6, 32, 16), width=4, layers=2)
    x = torch.randint(0, 2, (2, 5, 32, 16)).float()
    images = generator(x)
    assert images.shape == (2, 1, 32, 16)
    assert -1 <= images.min() < images.max() <= 1
    judge(torch.cat([x, images], 1)).square().sum().backward()
    for network in (generator, judge):
        for name, p in network.named_parameters():
            assert p.grad is not None, name
            assert p.grad.any() or name.endswith("bias"), name
    with pytest.raises(ValueError, match="pad them to"):
        generator(torch.zeros(1, 5, 33, 16))


def test_labels_are_heard_or_refused():
    torch.manual_seed(0)
    network = Generator((1, 16, 16), (1, 16, 16), 3, width=4, downs=2, blocks=1, norm="batch")
    x = torch.randn(1, 1, 16, 16).expand(2, -1, -1, -1)
    one, two = network(x, None, torch.tensor([0, 2]))
    assert (one - two).abs().max() > 1e-3
    with pytest.raises(ConfigError, match="does not hear labels"):
        Generator((1, 16, 16), (1, 16, 16), 3, downs=2)
    judge = Discriminator((1, 16, 16), 3, width=4)
    assert (judge(x[:1], torch.tensor([0])) - judge(x[:1], torch.tensor([2]))).abs().max() > 1e-6


def test_edges_stand_on_both_sides_of_a_border():
    instances = torch.tensor([[7, 7, 2], [7, 7, 2], [7, 7, 7]])[None, None]
    assert edges(instances)[0, 0].tolist() == [[0, 1, 1], [0, 1, 1], [0, 0, 1]]
    assert not edges(torch.full((2, 1, 4, 4), 26001)).any()


def test_pooling_gives_every_pixel_the_mean_of_its_instance():
    torch.manual_seed(0)
    features, instances = torch.randn(2, 3, 5, 4), torch.randint(0, 3, (2, 1, 5, 4)) * 1000 - 7
    found = pooled(features, instances)
    for sample in range(2):
        for number in instances[sample].unique():
            at = instances[sample, 0] == number
            mean = features[sample][:, at].mean(1, keepdim=True)
            torch.testing.assert_close(found[sample][:, at], mean.expand(-1, int(at.sum())))
    torch.testing.assert_close(pooled(found, instances), found)


def test_encoder_pools_what_it_makes():
    torch.manual_seed(0)
    network = Encoder((3, 32, 16), width=4, downs=2)
    instances = torch.zeros(2, 1, 32, 16, dtype=torch.int64)
    instances[:, :, 10:] = 3
    found = network(torch.randn(2, 3, 32, 16), instances)
    assert found.shape == (2, 3, 32, 16)
    assert found[:, :, :10].std((2, 3)).max() < 1e-6
    assert (found[:, :, 0] - found[:, :, 20]).abs().max() > 1e-4
    found.square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_refusals():
    with pytest.raises(ConfigError, match=r"multiples of 16; type --data\.resolution 64 64"):
        Generator((3, 56, 56), (3, 56, 56))
    with pytest.raises(ConfigError, match=r"too small to be halved 4 times.*32 pixels"):
        Generator((3, 16, 16), (3, 16, 16))
    with pytest.raises(ConfigError, match=r"judged at 2 scales at most, not 3; type --discriminator\.model\.scales 2"):
        Discriminator((3, 16, 20), scales=3)
    with pytest.raises(ConfigError, match=r"7x20 are too small.*--data\.resolution 64"):
        Discriminator((3, 7, 20))
    with pytest.raises(ConfigError, match=r"scales is 0; type --discriminator\.model\.scales 2"):
        Discriminator((3, 16, 16), scales=0)
    with pytest.raises(ConfigError, match="layers is 0"):
        Discriminator((3, 16, 16), layers=0)
