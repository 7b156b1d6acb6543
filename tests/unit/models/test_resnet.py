import pytest
import torch

from organza.config import ConfigError
from organza.models.resnet import Block, Discriminator, FirstBlock, Generator

SHAPES = [(1, 28, 28), (3, 64, 64), (4, 48, 32), (2, 8, 8)]


def players(shape=(1, 28, 28), classes=0):
    torch.manual_seed(0)
    return Generator(shape, classes, z_dim=8, embed_dim=4, width=8), Discriminator(shape, classes, width=8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("classes", [0, 5])
def test_shapes_and_range(shape, classes):
    generator, discriminator = players(shape, classes)
    labels = torch.tensor([0, 4, 2]) if classes else None
    images = generator(torch.randn(3, 8), labels)
    assert images.shape == (3, *shape)
    assert images.abs().max() <= 1
    assert discriminator(images, labels).shape == (3,)


def test_the_published_network():
    with torch.device("meta"):
        generator, discriminator = Generator((3, 32, 32)), Discriminator((3, 32, 32))
    pair, shortcut, norms = 2 * (128 * 128 * 9 + 128), 128 * 128 + 128, 4 * 128
    up = pair + shortcut + norms
    head = 2 * 128 + 128 * 3 * 9 + 3
    assert sum(p.numel() for p in generator.parameters()) == 128 * 2048 + 2048 + 3 * up + head
    first = (3 * 128 * 9 + 128) + (128 * 128 * 9 + 128) + (3 * 128 + 128)
    assert sum(p.numel() for p in discriminator.parameters()) == first + pair + shortcut + 2 * pair + 128 + 1


@pytest.mark.parametrize(("side", "expected"), [(32, 8), (28, 7), (64, 8), (24, 6), (8, 4)])
def test_critic_pools_where_a_side_is_eight_or_less(side, expected):
    discriminator = Discriminator((1, side, side), width=4)
    assert discriminator.blocks(torch.randn(1, 1, side, side)).shape == (1, 4, expected, expected)
    assert [type(b) for b in discriminator.blocks][:1] == [FirstBlock]
    assert [b.resample for b in discriminator.blocks[-2:]] == ["none", "none"]


def test_blocks_resample_by_two():
    x = torch.randn(2, 8, 6, 10)
    assert Block(8, "up", "batch")(x).shape == (2, 8, 12, 20)
    assert Block(8, "down", "layer")(x).shape == (2, 8, 3, 5)
    assert Block(8, "none", "none")(x).shape == x.shape


@pytest.mark.parametrize("classes", [0, 5])
def test_gradients_reach_all_parameters(classes):
    labels = torch.tensor([1, 3]) if classes else None
    generator, discriminator = players(classes=classes)
    discriminator(generator(torch.randn(2, 8), labels), labels).sum().backward()
    used = [*generator.named_parameters(), *discriminator.named_parameters()]
    assert [name for name, p in used if p.grad is None] == []


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_gradient_penalty_reaches_all_weights(norm):
    torch.manual_seed(0)
    discriminator = Discriminator((1, 28, 28), 5, width=8, norm=norm)
    x = torch.randn(3, 1, 28, 28, requires_grad=True)
    (gradient,) = torch.autograd.grad(discriminator(x, torch.tensor([0, 1, 4])).sum(), x, create_graph=True)
    (gradient.flatten(1).norm(dim=1) - 1).square().mean().backward()
    convolutions = [p for name, p in discriminator.named_parameters() if "conv" in name and name.endswith("weight")]
    assert all(p.grad is not None and p.grad.any() for p in convolutions)


def test_critic_judges_each_sample_alone():
    discriminator = Discriminator((1, 28, 28), width=8, norm="layer")
    x = torch.randn(4, 1, 28, 28)
    torch.testing.assert_close(discriminator(x)[1:2], discriminator(x[1:2]))


def test_signal_keeps_its_size_at_the_start():
    torch.manual_seed(0)
    generator, discriminator = Generator((3, 32, 32), width=32), Discriminator((3, 32, 32), width=32)
    images = generator(torch.randn(64, 128))
    assert 0.3 < images.std().item() < 0.95
    assert 0.02 < discriminator(torch.randn(64, 3, 32, 32)).std().item() < 5


def test_labels_matter():
    generator, discriminator = players(classes=5)
    z, x = torch.randn(1, 8).expand(5, -1), torch.randn(1, 1, 28, 28).expand(5, -1, -1, -1)
    assert generator.eval()(z, torch.arange(5)).std(0).mean() > 1e-3
    assert discriminator(x, torch.arange(5)).std() > 1e-3


@pytest.mark.parametrize("network", [Generator, Discriminator])
def test_sizes_that_cannot_be_halved(network):
    with pytest.raises(ConfigError, match="28x28"):
        network((1, 27, 28))
