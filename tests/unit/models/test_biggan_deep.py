import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrize import is_parametrized

from organza.config import ConfigError
from organza.layers.spectral import add_spectral_norm
from organza.models.biggan_deep import Discriminator, DownBlock, Generator, UpBlock
from organza.recipes import RECIPES

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 64, 64), (4, 48, 32)]


def players(shape=(1, 28, 28), classes=0, depth=2):
    torch.manual_seed(0)
    generator = Generator(shape, classes, z_dim=8, embed_dim=6, widths=(16, 12, 8), depth=depth, attention=16)
    return generator, Discriminator(shape, classes, widths=(8, 12, 16), depth=depth, attention=16)


def some_labels(classes):
    return torch.tensor([0, classes - 1, 2]) if classes else None


def test_parameter_counts_are_those_that_the_paper_rounds():
    with torch.device("meta"):
        networks = Generator((3, 128, 128), 1000), Discriminator((3, 128, 128), 1000)
    assert [sum(p.numel() for p in network.parameters()) for network in networks] == [50_244_484, 34_590_210]


@pytest.mark.parametrize(("side", "millions"), [(128, 50.4), (256, 55.9), (512, 56.2)])
def test_the_released_generators_differ_by_maps_that_they_throw_away(side, millions):
    """Their last convolution has 128 outputs for 3: all three figures are met with it, and none without."""
    options = RECIPES["biggan-deep"]((3, side, side), "paper").generator.model.options
    with torch.device("meta"):
        generator = Generator((3, side, side), 1000, **options)
        wide = nn.Conv2d(128, 128, 3, padding=1)
    counts = [sum(p.numel() for p in network.parameters()) for network in (generator, generator.to_image, wide)]
    assert round((counts[0] - counts[1] + counts[2]) / 1e6, 1) == millions
    assert round(counts[0] / 1e6, 1) == round(millions - 0.2, 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("classes", [0, 5])
def test_shapes_and_range(shape, classes):
    generator, discriminator = players(shape, classes)
    labels = some_labels(classes)
    images = generator(torch.randn(3, 8), labels)
    assert images.shape == (3, *shape)
    assert images.abs().max() <= 1
    features = discriminator.features(images, labels)
    assert features.shape == (3, discriminator.feature_size)
    assert discriminator(images, labels).shape == (3,)
    torch.testing.assert_close(discriminator.logits(features, labels), discriminator(images, labels))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_depth_adds_blocks_and_no_resampling(depth):
    generator, discriminator = players(depth=depth)
    assert [[block.enlarge for block in stage] for stage in generator.blocks] == [[False] * (depth - 1) + [True]] * 2
    assert [[b.halve for b in stage] for stage in discriminator.blocks] == [[True] + [False] * (depth - 1)] * 2
    assert discriminator(generator(torch.randn(2, 8))).shape == (2,)


@pytest.mark.parametrize("enlarge", [True, False])
def test_an_up_block_against_the_paper_in_its_order(enlarge):
    torch.manual_seed(0)
    block = UpBlock(16, 12, 5, enlarge=enlarge)
    x, c = torch.randn(3, 16, 5, 3), torch.randn(3, 5)
    y = block.conv1(block.bn1(x, c).relu())
    assert y.shape[1] == 4
    y = block.bn2(y, c).relu()
    y = F.conv2d(F.interpolate(y, scale_factor=2) if enlarge else y, block.conv2.weight, block.conv2.bias, padding=1)
    y = block.conv4(block.bn4(block.conv3(block.bn3(y, c).relu()), c).relu())
    kept = F.interpolate(x, scale_factor=2) if enlarge else x
    torch.testing.assert_close(block(x, c), y + kept[:, :12])


@pytest.mark.parametrize(("after", "halve"), [(20, True), (16, True), (16, False), (20, False)])
def test_a_down_block_against_the_paper_in_its_order(after, halve):
    torch.manual_seed(0)
    block = DownBlock(16, after, halve=halve)
    x = torch.randn(3, 16, 6, 4)
    y = block.conv3(block.conv2(block.conv1(x.relu()).relu()).relu()).relu()
    assert y.shape[1] == after // 4
    y, skip = (F.avg_pool2d(y, 2), F.avg_pool2d(x, 2)) if halve else (y, x)
    if after > 16:
        skip = torch.cat([skip, block.extend(skip)], 1)
    torch.testing.assert_close(block(x), skip + block.conv4(y))


@pytest.mark.parametrize("classes", [0, 5])
def test_noise_and_class_go_into_every_block(classes):
    generator, _ = players(classes=classes)
    seen = []
    for stage in generator.blocks:
        for block in stage:
            block.bn3.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    z, labels = torch.randn(3, 8), some_labels(classes)
    generator(z, labels)
    expected = torch.cat([z, generator.shared(labels)], 1) if classes else z
    assert len(seen) == 4
    assert all(torch.equal(condition, expected) for condition in seen)


def test_labels_matter():
    generator, discriminator = players(classes=5)
    z = torch.randn(1, 8).expand(5, -1)
    with torch.no_grad():
        images = generator.eval()(z, torch.arange(5))
        assert images.std(0).mean() > 1e-3
        assert discriminator(images[:1].expand(5, -1, -1, -1), torch.arange(5)).std() > 1e-3


@pytest.mark.parametrize("classes", [0, 5])
def test_gradients_reach_all_parameters(classes):
    labels = some_labels(classes)
    generator, discriminator = players(classes=classes)
    discriminator(generator(torch.randn(3, 8), labels), labels).sum().backward()
    used = [*generator.named_parameters(), *discriminator.named_parameters()]
    assert [name for name, p in used if p.grad is None] == []


def test_initial_weights_are_orthogonal():
    for network in players(classes=5):
        layers = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear, nn.Embedding))]
        assert len(layers) > 20
        for layer in layers:
            w = layer.weight.flatten(1)
            w = w if w.shape[0] <= w.shape[1] else w.T
            torch.testing.assert_close(w @ w.T, torch.eye(len(w)), atol=1e-5, rtol=0)


def test_spectral_norm_leaves_the_shared_embedding_out():
    generator, _ = players(classes=5)
    before = generator.shared.weight.detach().clone()
    add_spectral_norm(generator)
    assert torch.isfinite(generator(torch.randn(4, 8), torch.arange(4))).all()
    assert torch.equal(generator.shared.weight, before)
    normed = {name for name, module in generator.named_modules() if is_parametrized(module, "weight")}
    layers = {n for n, m in generator.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear, nn.Embedding))}
    assert layers - normed == {"shared"}


def test_refusals_say_what_fits():
    with pytest.raises(ConfigError, match=r"28x28 can be halved 1 to 2 times.* 5"):
        Generator((1, 28, 28))
    with pytest.raises(ConfigError, match="its widths fall"):
        Generator((1, 28, 28), widths=(8, 16, 8))
    with pytest.raises(ConfigError, match="its widths grow"):
        Discriminator((1, 28, 28), widths=(8, 16, 8))
    for network in (Generator, Discriminator):
        with pytest.raises(ConfigError, match="26x28 or 28x28"):
            network((1, 27, 28))
