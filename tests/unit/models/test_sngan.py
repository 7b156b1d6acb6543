from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from organza.config import ConfigError
from organza.layers.spectral import add_spectral_norm, weighted_layers, without_spectral_norm
from organza.models.sngan import Discriminator, DownBlock, Generator, UpBlock

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 64, 64), (4, 48, 32)]


def players(shape=(1, 28, 28), classes=0, attention=0):
    torch.manual_seed(0)
    generator = Generator(shape, classes, z_dim=8, widths=(12, 8, 8), attention=attention)
    return generator, Discriminator(shape, classes, widths=(8, 12, 16), downs=2, attention=attention)


def some_labels(classes):
    return torch.tensor([0, classes - 1, 2]) if classes else None


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("classes", [0, 5])
@pytest.mark.parametrize("attention", [0, 16])
def test_shapes_and_range(shape, classes, attention):
    generator, discriminator = players(shape, classes, attention)
    labels = some_labels(classes)
    images = generator(torch.randn(3, 8), labels)
    assert images.shape == (3, *shape)
    assert images.abs().max() <= 1
    features = discriminator.features(images, labels)
    assert features.shape == (3, discriminator.feature_size)
    logits = discriminator(images, labels)
    assert logits.shape == (3,)
    torch.testing.assert_close(discriminator.logits(features, labels), logits)


def up(before, after):  # one block of the tables: two norms, two 3x3 convolutions, one 1x1
    return 2 * (before + after) + 9 * before * after + after + 9 * after * after + after + before * after + after


def down(before, hidden, after, shortcut=True):
    pair = 9 * before * hidden + hidden + 9 * hidden * after + after
    return pair + (before * after + after) * shortcut


@pytest.mark.parametrize(
    ("shape", "generator", "discriminator"),
    [
        (
            (3, 32, 32),  # CIFAR-10
            {"widths": (256,) * 4},
            {"widths": (128,) * 4, "downs": 2},
        ),
        (
            (3, 48, 48),  # STL-10
            {"widths": (512, 256, 128, 64)},
            {"widths": (64, 128, 256, 512, 1024), "downs": 4},
        ),
        (
            (3, 128, 128),  # ImageNet
            {"widths": (1024, 1024, 512, 256, 128, 64)},
            {"widths": (64, 128, 256, 512, 1024, 1024), "downs": 5},
        ),
    ],
)
def test_the_tables_of_the_appendix(shape, generator, discriminator):
    with torch.device("meta"):
        networks = Generator(shape, **generator), Discriminator(shape, **discriminator)
    counts = [sum(p.numel() for p in network.parameters()) for network in networks]
    widths, base = generator["widths"], shape[1] >> (len(generator["widths"]) - 1)
    ups = sum(up(a, b) for a, b in pairwise(widths))
    assert counts[0] == 129 * base**2 * widths[0] + ups + 2 * widths[-1] + 27 * widths[-1] + 3
    widths, downs = discriminator["widths"], discriminator["downs"]
    first = down(3, widths[0], widths[0])
    rest = [down(a, a, b, i < downs or a != b) for i, (a, b) in enumerate(pairwise(widths), start=1)]
    assert counts[1] == first + sum(rest) + widths[-1] + 1


def test_an_up_block_against_the_paper_in_its_order():
    torch.manual_seed(0)
    block = UpBlock(6, 4, nn_norm).eval()
    x = torch.randn(2, 6, 5, 3)
    y = F.interpolate(block.bn1(x).relu(), scale_factor=2)
    y = F.conv2d(y, block.conv1.weight, block.conv1.bias, padding=1)
    y = block.conv2(block.bn2(y).relu())
    torch.testing.assert_close(block(x), y + block.shortcut(F.interpolate(x, scale_factor=2)))


def nn_norm(channels):
    class Norm(nn.BatchNorm2d):
        def forward(self, input, condition=None):
            return super().forward(input)

    norm = Norm(channels)
    nn.init.normal_(norm.weight)
    return norm


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("halve", [True, False])
def test_a_down_block_against_the_paper_in_its_order(first, halve):
    torch.manual_seed(0)
    block = DownBlock(6, 5, 4, halve=halve, first=first)
    x = torch.randn(2, 6, 8, 4)
    y = block.conv2(block.conv1(x if first else x.relu()).relu()) + block.shortcut(x)
    torch.testing.assert_close(block(x), F.avg_pool2d(y, 2) if halve else y)
    assert isinstance(DownBlock(4, 4, 4, halve=False).shortcut, nn.Identity)


def test_features_are_sums_over_pixels_and_logits_projections():
    _, discriminator = players(classes=5)
    x, labels = torch.randn(3, 1, 28, 28), some_labels(5)
    maps = x
    for block in discriminator.blocks:
        maps = block(maps)
    h = maps.relu().sum((2, 3))
    w, v = discriminator.linear, discriminator.embed.weight
    expected = torch.stack([w.weight[0] @ f + w.bias[0] + v[y] @ f for f, y in zip(h, labels, strict=True)])
    torch.testing.assert_close(discriminator(x, labels), expected)


def test_maps_of_the_discriminator():
    discriminator = Discriminator((1, 32, 32), widths=(4, 4, 4, 4), downs=2)
    x, sides = torch.randn(1, 1, 32, 32), []
    for block in discriminator.blocks:
        x = block(x)
        sides.append(x.shape[2])
    assert sides == [16, 8, 8, 8]


def test_initial_weights():
    torch.manual_seed(0)
    generator, discriminator = Generator((3, 32, 32), 7, widths=(64,) * 4), Discriminator((3, 32, 32), 7)
    pairs = [
        (generator.project, 2 / (128 + 1024)),
        (generator.blocks[0].conv1, 2 / (9 * 128)),
        (discriminator.blocks[1].shortcut, 2 / 256),
        (discriminator.embed, 2 / (128 + 7)),
    ]
    for layer, variance in pairs:
        assert layer.weight.var().item() == pytest.approx(variance, rel=0.15)
    biases = [p for n in (generator, discriminator) for name, p in n.named_parameters() if name.endswith("bias")]
    assert len(biases) > 20
    assert not any(b.any() for b in biases)
    assert generator.blocks[0].bn1.gain.unique().tolist() == [1.0]


@pytest.mark.parametrize("classes", [0, 5])
@pytest.mark.parametrize("attention", [0, 14])
def test_gradients_reach_all_parameters(classes, attention):
    labels = some_labels(classes)
    generator, discriminator = players(classes=classes, attention=attention)
    discriminator(generator(torch.randn(3, 8), labels), labels).sum().backward()
    used = [*generator.named_parameters(), *discriminator.named_parameters()]
    assert [name for name, p in used if p.grad is None] == []
    assert sum(name.endswith("gamma") for name, _ in used) == (2 if attention else 0)


def test_labels_matter():
    generator, discriminator = players(classes=5)
    z, x = torch.randn(1, 8).expand(5, -1), torch.randn(1, 1, 28, 28).expand(5, -1, -1, -1)
    assert generator.eval()(z, torch.arange(5)).std(0).max() < 1e-6  # at the start all classes have equal gains
    for module in generator.modules():
        if hasattr(module, "gain"):
            nn.init.normal_(module.gain, 1)
    assert generator(z, torch.arange(5)).std(0).mean() > 1e-3
    assert discriminator(x, torch.arange(5)).std() > 1e-3


@pytest.mark.parametrize("classes", [0, 5])
def test_spectral_norm_takes_every_matrix_and_no_table(classes):
    labels = some_labels(classes)
    for network in players(classes=classes, attention=14):
        matrices = [name for name, p in network.named_parameters() if p.dim() in (2, 4)]
        tables = [name for name in matrices if name.endswith((".gain", ".bias"))]
        assert len(weighted_layers(network)) == len(matrices) - len(tables)
        assert bool(tables) == (bool(classes) and isinstance(network, Generator))
        add_spectral_norm(network)
        x = torch.randn(3, 8) if isinstance(network, Generator) else torch.randn(3, 1, 28, 28)
        for _ in range(30):
            assert torch.isfinite(network(x, labels)).all()
        for layer in weighted_layers(without_spectral_norm(network)):
            assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("attention", [0, 14])
def test_the_discriminator_judges_each_sample_alone(attention):
    _, discriminator = players(attention=attention)
    for name, parameter in discriminator.named_parameters():
        if name.endswith("gamma"):
            nn.init.ones_(parameter)
    x = torch.randn(4, 1, 28, 28)
    torch.testing.assert_close(discriminator(x)[1:2], discriminator(x[1:2]))


def test_refusals_say_what_fits():
    with pytest.raises(ConfigError, match=r"28x28 can be halved 1 to 2 times.* 3"):
        Generator((1, 28, 28))
    with pytest.raises(ConfigError, match=r"1 to 2 times.* 4"):
        Discriminator((1, 28, 28), downs=4)
    with pytest.raises(ConfigError, match="only 2 blocks"):
        Discriminator((1, 32, 32), widths=(8, 8), downs=3)
    for network in (Generator, Discriminator):
        with pytest.raises(ConfigError, match="26x28 or 28x28"):
            network((1, 27, 28))
    with pytest.raises(ConfigError, match=r"1 to 3 times.* 0"):
        Generator((1, 8, 8), widths=(8,))
