import pytest
import torch
from torch import nn

from organza.config import ConfigError
from organza.models.r3gan import Block, Discriminator, Generator

SHAPES = {(1, 28, 28): (16, 16, 8), (3, 64, 64): (16, 16, 8, 8, 8), (4, 48, 32): (16, 8, 8, 8), (2, 8, 8): (8, 8)}
BASE = (768,) * 4
WIDE = (1536,) * 5


def players(shape=(1, 28, 28), classes=0, seed=0):
    torch.manual_seed(seed)
    options = {"widths": SHAPES[shape], "channels_per_group": 8}
    return Generator(shape, classes, z_dim=8, embed_dim=4, **options), Discriminator(shape, classes, **options)


def wake(network: nn.Module) -> nn.Module:
    """Give the last convolutions of the blocks, zero at first, some weight."""
    for module in network.modules():
        if isinstance(module, Block):
            nn.init.normal_(module.reduce.weight, std=0.1)
    return network


@pytest.mark.parametrize(
    ("shape", "classes", "widths", "channels_per_group", "generator", "discriminator"),
    [
        ((3, 32, 32), 0, BASE, 16, 20_732_160, 20_683_776),  # Stacked-MNIST
        ((3, 32, 32), 10, BASE, 16, 20_781_952, 21_280_512),  # CIFAR-10
        ((3, 64, 64), 0, (*BASE, 384), 16, 22_429_824, 22_381_440),  # FFHQ-64
        ((3, 256, 256), 0, (*BASE, 384, 192, 96), 16, 23_057_952, 23_009_568),  # FFHQ-256
        ((3, 32, 32), 1000, WIDE[:4], 32, 82_914_304, 86_548_992),  # ImageNet-32
        ((3, 64, 64), 1000, WIDE, 32, 103_570_432, 107_205_120),  # ImageNet-64
    ],
)
def test_published_parameter_counts(shape, classes, widths, channels_per_group, generator, discriminator):
    options = {"widths": widths, "channels_per_group": channels_per_group}
    with torch.device("meta"):
        networks = Generator(shape, classes, **options), Discriminator(shape, classes, **options)
    assert [sum(p.numel() for p in network.parameters()) for network in networks] == [generator, discriminator]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("classes", [0, 5])
def test_shapes(shape, classes):
    generator, discriminator = players(shape, classes)
    labels = torch.tensor([0, 4, 2]) if classes else None
    images = generator(torch.randn(3, 8), labels)
    assert images.shape == (3, *shape)
    assert discriminator(images, labels).shape == (3,)


def test_blocks_start_as_the_identity():
    generator, discriminator = players()
    for network in (generator, discriminator):
        for block in (m for m in network.modules() if isinstance(m, Block)):
            x = torch.randn(2, block.expand.in_channels, 4, 4)
            assert torch.equal(block(x), x)


def test_initial_weights():
    torch.manual_seed(0)
    widths = (64, 64, 64)
    generator, discriminator = Generator((1, 28, 28), widths=widths), Discriminator((1, 28, 28), 9, widths=widths)
    he = (2 / 1.04) ** 0.5 * 6**-0.25  # six blocks in each network
    block = generator.stages[0][0]
    expected = {
        block.expand: he / 64**0.5,
        block.mix: he / (16 * 9) ** 0.5,
        block.reduce: 0.0,
        generator.scale: 1 / 64**0.5,
        discriminator.gather: 1 / 7,
        discriminator.head: 1 / 64**0.5,
        discriminator.embed: 1 / (64 * 9) ** 0.5,
    }
    for layer, deviation in expected.items():
        assert layer.weight.std().item() == pytest.approx(deviation, rel=0.08)
    assert generator.basis.std().item() == pytest.approx(1, rel=0.05)
    assert not any(p.any() for name, p in generator.named_parameters() if name.endswith("bias"))


def test_signal_keeps_its_size_at_the_start():
    torch.manual_seed(0)
    generator = Generator((3, 32, 32), widths=(64, 64, 32, 32))
    discriminator = Discriminator((3, 32, 32), widths=(64, 64, 32, 32))
    assert 0.2 < generator(torch.randn(64, 64)).std().item() < 1.2
    flat = torch.randn(64, 3, 1, 1).expand(-1, -1, 32, 32)  # the low-pass filters leave these
    assert 0.2 < discriminator(flat).std().item() < 1.5


def test_published_biases_only_stand_before_activations():
    _, discriminator = players()
    assert all(
        name.endswith(("expand.bias", "mix.bias")) for name, _ in discriminator.named_parameters() if "bias" in name
    )


@pytest.mark.parametrize("classes", [0, 5])
def test_gradients_reach_all_parameters(classes):
    labels = torch.tensor([1, 3]) if classes else None
    generator, discriminator = map(wake, players(classes=classes))
    discriminator(generator(torch.randn(2, 8), labels), labels).sum().backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.any(), name


@pytest.mark.parametrize("classes", [0, 5])
def test_gradient_of_the_gradient_penalty(classes):
    labels = torch.tensor([1, 3]) if classes else None
    discriminator = wake(players((2, 8, 8), classes)[1]).double()
    x = torch.randn(2, 2, 8, 8, dtype=torch.float64, requires_grad=True)
    block = discriminator.stages[0][0]

    def penalty() -> torch.Tensor:
        (gradient,) = torch.autograd.grad(discriminator(x, labels).sum(), x, create_graph=True)
        return gradient.square().sum()

    penalty().backward()
    for weight in (block.expand.weight, block.mix.weight, discriminator.head.weight):
        step = torch.zeros_like(weight)
        step.view(-1)[1] = 1e-5
        with torch.no_grad():
            weight += step
        above = penalty()
        with torch.no_grad():
            weight -= 2 * step
        slope = (above - penalty()).item() / 2e-5
        with torch.no_grad():
            weight += step
        assert weight.grad.view(-1)[1].item() == pytest.approx(slope, rel=1e-4, abs=1e-8)


def test_labels_matter():
    generator, discriminator = map(wake, players(classes=5))
    z, x = torch.randn(1, 8).expand(5, -1), torch.randn(1, 1, 28, 28).expand(5, -1, -1, -1)
    assert generator(z, torch.arange(5)).std(0).mean() > 1e-3
    assert discriminator(x, torch.arange(5)).std() > 1e-3


def test_samples_do_not_see_each_other():
    generator, discriminator = map(wake, players())
    z = torch.randn(4, 8)
    torch.testing.assert_close(generator(z)[:1], generator(z[:1]))
    torch.testing.assert_close(discriminator(generator(z))[2:3], discriminator(generator(z)[2:3]))


def test_autocast_in_bfloat16_stays_near():
    generator, discriminator = map(wake, players())
    z = torch.randn(4, 8)
    with torch.autocast("cpu", torch.bfloat16):
        logits = discriminator(generator(z))
    assert next(generator.parameters()).dtype == torch.float32
    torch.testing.assert_close(logits.float(), discriminator(generator(z)), atol=0.05, rtol=0.1)


@pytest.mark.parametrize("network", [Generator, Discriminator])
def test_wrong_options_say_what_fits(network):
    with pytest.raises(ConfigError, match=r"28x28 have 3 stages and need 3 numbers.*64,32,32"):
        network((1, 28, 28), widths=(64, 32))
    with pytest.raises(ConfigError, match="multiples of 8"):
        network((1, 28, 28), widths=(64, 32, 12), channels_per_group=16)
    with pytest.raises(ConfigError, match="28x28"):
        network((1, 27, 28), widths=(64, 32))
