import copy

import pytest
import torch
from torch.nn import functional as F

from organza.config import ConfigError
from organza.models.progan import Discriminator, Generator, Growth

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 64, 64), (4, 48, 32)]
SMALL = {"width": 8, "max_width": 16, "fade": 100, "stable": 50}


def players(shape=(1, 28, 28), classes=0, images=0, **changes):
    torch.manual_seed(0)
    options = {**SMALL, **changes}
    networks = Generator(shape, classes, z_dim=6, **options), Discriminator(shape, classes, **options)
    for network in networks:
        network.advance(images)
    return networks


def lrelu(x):
    return torch.where(x < 0, 0.2 * x, x)


def norm(x):
    return x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()


def conv(x, layer, gain=2**0.5):
    """The layer's weights at their size at run time, from the paper's section 4.1."""
    fan_in = layer.weight[0].numel()
    return F.conv2d(x, layer.weight * gain / fan_in**0.5, layer.bias, padding=layer.weight.shape[2] // 2)


def repeat(x, k=2):
    return x.repeat_interleave(k, 2).repeat_interleave(k, 3)


def pool(x, k=2):
    b, c, h, w = x.shape
    return x.view(b, c, h // k, k, w // k, k).mean((3, 5))


def test_published_parameter_counts():
    """Table 2 gives 23.1 M for each network; the colour layers of lower levels are not of it."""
    with torch.device("meta"):
        networks = Generator((3, 1024, 1024)), Discriminator((3, 1024, 1024))
    generator, discriminator = networks
    for network, colours in ((generator, generator.to_image), (discriminator, discriminator.from_image)):
        of_others = sum(p.numel() for layer in colours[:-1] for p in layer.parameters())
        assert 23.05e6 < sum(p.numel() for p in network.parameters()) - of_others < 23.15e6
    last = generator.blocks[-1].conv2.weight, generator.blocks[3].conv2.weight, generator.blocks[2].conv2.weight
    assert [w.shape[0] for w in last] == [16, 256, 512]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("classes", [0, 5])
@pytest.mark.parametrize("images", [0, 90, 200, 10_000])
def test_shapes(shape, classes, images):
    generator, discriminator = players(shape, classes, images)
    labels = torch.tensor([0, 4, 2, 1]) if classes else None
    made = generator(torch.randn(4, 6), labels)
    assert made.shape == generator.match(made).shape == (4, *shape)
    features = discriminator.features(made, labels)
    assert features.shape == (4, discriminator.feature_size)
    assert discriminator.logits(features, labels).shape == (4,)
    assert torch.equal(discriminator(made, labels), discriminator.logits(features, labels))


def test_phases():
    growth = Growth(2, fade=100, stable=50)
    expected = {
        0: (0, 1), 50: (0, 1), 51: (1, 0.01), 100: (1, 0.5), 150: (1, 1), 151: (1, 1), 200: (1, 1), 201: (2, 0.01),
        275: (2, 0.75), 300: (2, 1), 350: (2, 1), 10**9: (2, 1),
    }  # fmt: skip
    for images, (level, share) in expected.items():
        growth.advance(images)
        assert growth.stage() == (level, pytest.approx(share)), images
        assert growth.progress == images
    assert Growth(3, fade=0, stable=0).stage() == (3, 1)
    assert [Growth(3, fade=0, stable=10).stage_at(n) for n in (10, 11, 20, 21, 99)] == [
        (0, 1), (1, 1), (1, 1), (2, 1), (3, 1),
    ]  # fmt: skip
    assert Growth(1, fade=10, stable=0).stage_at(0) == (0, 1)
    assert Growth(1, fade=10, stable=0).stage_at(5) == (1, 0.5)


def test_generator_while_the_second_level_fades_in():
    generator, _ = players((3, 32, 32), images=225)  # level 2 of 3, a quarter faded in
    with torch.no_grad():  # or pixel norm would hide the scale of what it is added to
        generator.bias.normal_()
    z = 3 * torch.randn(4, 6)
    widths = (16, 16, 16, 8)
    x = norm(z) @ generator.dense.weight.T * 2**0.5 / (6 * 16) ** 0.5
    x = norm(lrelu(x.view(4, widths[0], 4, 4) + generator.bias))
    x = norm(lrelu(conv(x, generator.first)))
    maps = []
    for block in generator.blocks[:2]:
        x = norm(lrelu(conv(norm(lrelu(conv(repeat(x), block.conv1))), block.conv2)))
        maps.append(x)
    coarse, fine = (conv(m, generator.to_image[i], gain=1) for i, m in enumerate(maps, 1))
    expected = repeat(0.75 * repeat(coarse) + 0.25 * fine)
    torch.testing.assert_close(generator(z), expected)


def test_discriminator_while_the_second_level_fades_in():
    _, discriminator = players((3, 32, 32), images=225)
    x = torch.randn(4, 3, 32, 32)
    small = pool(x)
    colours = [lrelu(conv(p, discriminator.from_image[i])) for i, p in ((1, pool(small)), (2, small))]
    down = [lambda y, b=b: pool(lrelu(conv(lrelu(conv(y, b.conv1)), b.conv2))) for b in discriminator.blocks]
    y = down[0](0.75 * colours[0] + 0.25 * down[1](colours[1]))
    deviation = (y.var(0, correction=0) + 1e-8).sqrt().mean()
    y = lrelu(conv(torch.cat([y, deviation.expand(4, 1, 4, 4)], 1), discriminator.last))
    flat = lrelu(y.flatten(1) @ discriminator.dense.weight.T * (2 / (16 * 16)) ** 0.5 + discriminator.dense.bias)
    expected = (flat @ discriminator.head.weight.T / 16**0.5 + discriminator.head.bias).squeeze(1)
    torch.testing.assert_close(discriminator(x), expected)


def test_reals_look_as_the_stage_does():
    real = torch.randn(2, 3, 32, 32)
    generator, _ = players((3, 32, 32), images=225)
    coarse, fine = pool(real, 4), pool(real, 2)
    torch.testing.assert_close(generator.match(real), repeat(0.75 * repeat(coarse) + 0.25 * fine))
    generator.advance(0)
    torch.testing.assert_close(generator.match(real), repeat(pool(real, 8), 8))
    generator.advance(10**9)
    assert torch.equal(generator.match(real), real)


def test_grown_up_networks_equal_plain_ones():
    grown = players((1, 28, 28), images=10**6)
    plain = players((1, 28, 28), fade=0, stable=0)
    z = torch.randn(4, 6)
    assert torch.equal(grown[0](z), plain[0](z))
    assert torch.equal(grown[1](grown[0](z)), plain[1](plain[0](z)))


def test_nothing_jumps_when_a_level_joins():
    generator, discriminator = players(images=50, fade=10**6)
    z, x = torch.randn(4, 6), torch.randn(4, 1, 28, 28)
    before = generator(z), discriminator(x)
    for network in (generator, discriminator):
        network.advance(51)
    torch.testing.assert_close(generator(z), before[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(discriminator(x), before[1], atol=1e-4, rtol=1e-4)
    assert not torch.equal(generator(z), before[0])


@pytest.mark.parametrize("classes", [0, 5])
def test_only_levels_that_take_part_have_gradients(classes):
    generator, discriminator = players((3, 32, 32), classes)
    labels = torch.tensor([1, 3, 0, 2]) if classes else None
    for images, levels, colours in ((0, 0, {0}), (100, 1, {0, 1}), (170, 1, {1}), (10**6, 3, {3})):
        for network in (generator, discriminator):
            network.advance(images)
            network.zero_grad()
        discriminator(generator(torch.randn(4, 6), labels), labels).square().sum().backward()
        inactive = {f"blocks.{i}." for i in range(levels, 3)}
        inactive |= {f"{side}_image.{i}." for i in set(range(4)) - colours for side in ("to", "from")}
        for network in (generator, discriminator):
            for name, parameter in network.named_parameters():
                if name.startswith(tuple(inactive)):
                    assert parameter.grad is None, name
                else:
                    assert parameter.grad is not None, name
                    assert parameter.grad.any(), name


def test_a_loaded_network_knows_how_far_it_has_grown():
    generator, _ = players(images=225)
    z = torch.randn(4, 6)
    other, _ = players()
    assert not torch.equal(other(z), generator(z))
    other.load_state_dict(generator.state_dict())
    assert torch.equal(other(z), generator(z))
    assert torch.equal(copy.deepcopy(generator).eval()(z), generator(z))
    assert generator.state_dict()["growth.progress"].dtype == torch.int64


def test_labels_matter():
    generator, discriminator = players(classes=5, images=10**6)
    z, x = torch.randn(1, 6).expand(5, -1), torch.randn(1, 1, 28, 28).expand(5, -1, -1, -1)
    discriminator.group = 5
    assert generator(z, torch.arange(5)).std(0).mean() > 1e-3
    assert discriminator(x, torch.arange(5)).std() > 1e-3


def test_critic_sees_when_fakes_are_alike():
    _, discriminator = players(images=10**6)
    x = torch.randn(8, 1, 28, 28)
    alone, group = discriminator(x[:1]), discriminator(x[::2])
    assert (alone[0] - group[0]).abs() > 1e-4
    torch.testing.assert_close(discriminator(x[torch.tensor([0, 2, 4, 6])])[0], group[0])


def test_gradient_of_the_gradient_penalty():
    discriminator = players((1, 16, 16), images=100)[1].double()
    x = torch.randn(4, 1, 16, 16, dtype=torch.float64, requires_grad=True)

    def penalty() -> torch.Tensor:
        (gradient,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
        return gradient.square().sum()

    penalty().backward()
    for weight in (discriminator.blocks[0].conv1.weight, discriminator.from_image[1].weight, discriminator.last.weight):
        step = torch.zeros_like(weight)
        step.view(-1)[1] = 1e-5
        values = []
        for sign in (1, -2, 1):
            with torch.no_grad():
                weight += sign * step
            values.append(penalty().item())
        assert weight.grad.view(-1)[1].item() == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-3, abs=1e-8)


def test_autocast_in_bfloat16_stays_near():
    generator, discriminator = players(images=100)
    z = torch.randn(4, 6)
    with torch.autocast("cpu", torch.bfloat16):
        logits = discriminator(generator.match(generator(z)))
    torch.testing.assert_close(logits.float(), discriminator(generator.match(generator(z))), atol=0.1, rtol=0.1)


@pytest.mark.parametrize("network", [Generator, Discriminator])
def test_what_cannot_grow_is_refused(network):
    with pytest.raises(ConfigError, match="27x28"):
        network((1, 27, 28))
    with pytest.raises(ConfigError, match="images"):
        network((2,))
    with pytest.raises(ConfigError, match="fade is -1"):
        network((1, 28, 28), fade=-1)
