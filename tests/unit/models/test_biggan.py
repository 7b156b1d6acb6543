import pytest
import torch
from torch import nn

from organza.config import ConfigError
from organza.layers.spectral import add_spectral_norm, weighted_layers, without_spectral_norm
from organza.models.biggan import Discriminator, Generator

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 64, 64), (4, 48, 32)]


def players(shape=(1, 28, 28), classes=0, z_dim=11):
    torch.manual_seed(0)
    generator = Generator(shape, classes, z_dim=z_dim, embed_dim=6, widths=(16, 8, 8), attention=16)
    return generator, Discriminator(shape, classes, widths=(8, 12, 16, 16), downs=2, attention=16)


def some_labels(classes):
    return torch.tensor([0, classes - 1, 2]) if classes else None


def test_published_parameter_counts():
    with torch.device("meta"):
        networks = Generator((3, 128, 128), 1000), Discriminator((3, 128, 128), 1000)
    assert [sum(p.numel() for p in network.parameters()) for network in networks] == [70_433_988, 87_982_370]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("classes", [0, 5])
def test_shapes_and_range(shape, classes):
    generator, discriminator = players(shape, classes)
    labels = some_labels(classes)
    images = generator(torch.randn(3, 11), labels)
    assert images.shape == (3, *shape)
    assert images.abs().max() <= 1
    features = discriminator.features(images, labels)
    assert features.shape == (3, discriminator.feature_size)
    assert discriminator(images, labels).shape == (3,)
    torch.testing.assert_close(discriminator.logits(features, labels), discriminator(images, labels))


@pytest.mark.parametrize("classes", [0, 5])
def test_each_part_of_the_noise_drives_one_stage(classes):
    generator, _ = players(classes=classes, z_dim=11)
    assert generator.parts == [4, 4, 3]
    assert generator.linear.in_features == 4
    assert [block.bn1.gain.in_features for block in generator.blocks] == [4 + 6 * bool(classes), 3 + 6 * bool(classes)]
    seen = []
    for block in generator.blocks:
        block.bn2.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    z, labels = torch.randn(3, 11), some_labels(classes)
    generator(z, labels)
    for condition, part in zip(seen, (z[:, 4:8], z[:, 8:]), strict=True):
        expected = torch.cat([part, generator.shared(labels)], 1) if classes else part
        assert torch.equal(condition, expected)


def test_all_noise_and_labels_matter():
    generator, discriminator = players(classes=5)
    z = torch.randn(1, 11, requires_grad=True)
    generator.eval()(z, torch.tensor([1])).square().sum().backward()
    assert (z.grad.abs() > 1e-6).all()
    with torch.no_grad():
        images = generator(z.expand(5, -1), torch.arange(5))
        assert images.std(0).mean() > 1e-3
        assert discriminator(images[:1].expand(5, -1, -1, -1), torch.arange(5)).std() > 1e-3


@pytest.mark.parametrize("classes", [0, 5])
def test_initial_weights_are_orthogonal(classes):
    for network in players(classes=classes):
        for layer in [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear, nn.Embedding))]:
            w = layer.weight.flatten(1)
            w = w if w.shape[0] <= w.shape[1] else w.T
            torch.testing.assert_close(w @ w.T, torch.eye(len(w)), atol=1e-5, rtol=0)
        assert not any(p.any() for name, p in network.named_parameters() if name.endswith("bias"))


@pytest.mark.parametrize("classes", [0, 5])
def test_gradients_reach_all_parameters(classes):
    labels = some_labels(classes)
    generator, discriminator = players(classes=classes)
    discriminator(generator(torch.randn(3, 11), labels), labels).sum().backward()
    used = [*generator.named_parameters(), *discriminator.named_parameters()]
    assert [name for name, p in used if p.grad is None] == []


def test_a_block_of_the_discriminator_widens_first():
    _, discriminator = players()
    assert [(b.conv1.in_channels, b.conv1.out_channels, b.conv2.out_channels) for b in discriminator.blocks] == [
        (1, 8, 8), (8, 12, 12), (12, 16, 16), (16, 16, 16),
    ]  # fmt: skip
    assert isinstance(discriminator.blocks[3].shortcut, nn.Identity)


def test_spectral_norm_leaves_the_shared_embedding_out():
    generator, _ = players(classes=5)
    before = generator.shared.weight.detach().clone()
    matrices = [name for name, p in generator.named_parameters() if p.dim() in (2, 4)]
    assert "shared.weight" in matrices
    assert len(weighted_layers(generator)) == len(matrices) - 1
    add_spectral_norm(generator)
    for _ in range(20):
        assert torch.isfinite(generator(torch.randn(4, 11), torch.arange(4))).all()
    plain = without_spectral_norm(generator)
    assert torch.equal(plain.shared.weight, before)
    assert torch.linalg.matrix_norm(plain.blocks[0].bn1.gain.weight, 2).item() == pytest.approx(1, abs=0.02)


def test_the_discriminator_has_a_gradient_penalty():
    _, discriminator = players(classes=5)
    for name, parameter in discriminator.named_parameters():
        if name.endswith("gamma"):
            nn.init.ones_(parameter)
    x = torch.randn(3, 1, 28, 28, requires_grad=True)
    (gradient,) = torch.autograd.grad(discriminator(x, some_labels(5)).sum(), x, create_graph=True)
    gradient.square().sum().backward()
    weights = [p for name, p in discriminator.named_parameters() if name.endswith("weight")]
    assert all(p.grad is not None and p.grad.any() for p in weights)


def test_refusals_say_what_fits():
    with pytest.raises(ConfigError, match=r"28x28 can be halved 1 to 2 times.* 5"):
        Generator((1, 28, 28))
    with pytest.raises(ConfigError, match="type z_dim 60"):
        Generator((1, 28, 28), z_dim=2, widths=(8, 8, 8))
    for network in (Generator, Discriminator):
        with pytest.raises(ConfigError, match="26x28 or 28x28"):
            network((1, 27, 28))
