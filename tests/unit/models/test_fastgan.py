import pytest
import torch
from torch import nn
from torch.nn import functional as F

from organza.config import ConfigError
from organza.draws import Draws
from organza.models.fastgan import Discriminator, Excitation, Generator, Noise, distance, quarter

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 64, 64), (4, 48, 32), (1, 16, 16), (3, 128, 128)]


def players(shape=(1, 28, 28), classes=0):
    torch.manual_seed(0)
    return Generator(shape, classes, z_dim=8, embed_dim=4, width=8), Discriminator(shape, classes, width=8)


def draws(count):
    return Draws(torch.arange(count))


def test_published_structure():
    """Channels, excitations and map sizes for 1024x1024 as the authors list them."""
    shape = (3, 1024, 1024)
    with torch.device("meta"):
        generator, discriminator = Generator(shape), Discriminator(shape)
        features = discriminator.features(generator(torch.randn(2, 256)))
        drawn = discriminator.draw(features, torch.zeros(2, dtype=torch.long))
    assert generator.first[0].out_features == 2 * 1024 * 4 * 4
    assert [next(b.children()).out_channels // 2 for b in generator.blocks] == [512, 256, 128, 128, 64, 32, 16, 8]
    assert [sum(isinstance(m, Noise) for m in b.children()) for b in generator.blocks] == [2, 0, 2, 0, 2, 0, 2, 0]
    pairs = [(g.gate[1].in_channels, g.gate[1].out_channels) for g in generator.gates]
    assert pairs == [(1024, 128), (512, 64), (256, 32), (128, 16)]  # 4 to 64, 8 to 128, 16 to 256, 32 to 512
    assert generator.span == 4
    assert [m.shape[1:] for m in features] == [(512, 8, 8), (256, 16, 16), (256, 8, 8)]
    assert [(g.gate[1].in_channels, g.gate[1].out_channels) for g in discriminator.gates] == [
        (16, 128), (32, 256), (64, 512),
    ]  # fmt: skip
    assert discriminator.logits(features).shape == (2, 50)
    assert [d.shape for d in drawn] == [(2, 3, 128, 128)] * 2


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("classes", [0, 5])
def test_shapes(shape, classes):
    generator, discriminator = players(shape, classes)
    labels = torch.tensor([0, 4, 2]) if classes else None
    images = generator(torch.randn(3, 8), labels)
    assert images.shape == (3, *shape)
    assert images.abs().max() <= 1
    features = discriminator.features(images, labels)
    assert features[1].shape[2:] == tuple(2 * side for side in features[0].shape[2:])
    logits = discriminator.logits(features, labels)
    assert logits.shape[0] == 3
    assert 2 <= logits.shape[1] <= 100
    assert torch.isfinite(discriminator(images, labels)).all()
    whole, part = discriminator.draw(features, torch.tensor([0, 3, 1]))
    assert whole.shape == (3, *shape)
    assert part.shape == (3, shape[0], shape[1] // 2, shape[2] // 2)


def test_excitation_follows_equation_one():
    torch.manual_seed(0)
    layer, low, high = Excitation(3, 5), torch.randn(2, 3, 14, 14), torch.randn(2, 5, 28, 28)
    small = F.adaptive_avg_pool2d(low, 4)
    inner = F.silu(torch.einsum("bchw,ochw->bo", small, layer.gate[1].weight))
    gate = torch.sigmoid(inner @ layer.gate[3].weight[:, :, 0, 0].T)
    torch.testing.assert_close(layer(low, high), high * gate[:, :, None, None])


def test_excitations_reach_from_small_maps_to_large_ones():
    generator, discriminator = players((3, 128, 128))
    targets = []
    for network in (generator, discriminator):
        for gate in network.gates:
            gate.register_forward_hook(lambda _, maps, out: targets.append((maps[0].shape[2], maps[1].shape[2])))
    discriminator(generator(torch.randn(2, 8)))
    assert targets == [(4, 64), (8, 128), (128, 16), (64, 8)]
    for shape, expected in (((1, 28, 28), [(7, 28), (28, 7)]), ((3, 32, 32), [(4, 32), (32, 8)])):
        generator, discriminator = players(shape)
        targets.clear()
        for network in (generator, discriminator):
            network.gates[0].register_forward_hook(lambda _, m, out: targets.append((m[0].shape[2], m[1].shape[2])))
            assert len(network.gates) == 1
        discriminator(generator(torch.randn(2, 8)))
        assert targets == expected


def test_noise_belongs_to_a_sample_in_training_and_is_the_same_for_all_in_use():
    generator, _ = players()
    z = torch.randn(4, 8)
    assert torch.equal(generator(z).detach(), generator(z).detach())  # its strength begins at zero
    for module in generator.modules():
        if isinstance(module, Noise):
            nn.init.ones_(module.strength)
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    noisy, alone = generator(z), generator(z[2:3])
    torch.testing.assert_close(noisy[2:3], alone, rtol=0, atol=1e-5)  # in whatever batch it stands
    generator.eval()
    assert (noisy - generator(z)).abs().mean() > 1e-3
    assert torch.equal(generator(z), generator(z))
    torch.testing.assert_close(generator(z)[:1], generator(z[:1]))


def test_quarters():
    x = torch.arange(2 * 4 * 6).view(2, 1, 4, 6)
    x = torch.cat([x, x])
    found = quarter(x, torch.tensor([0, 1, 2, 3]))
    expected = [x[0, :, :2, :3], x[1, :, :2, 3:], x[2, :, 2:, :3], x[3, :, 2:, 3:]]
    assert torch.equal(found, torch.stack(expected))


def test_distance():
    real = torch.zeros(2, 1, 8, 8)
    drawn = torch.zeros(2, 1, 8, 8)
    drawn[0, 0, 0, 0] = 0.64  # counts alike on every scale
    drawn[1, 0, 0, 0], drawn[1, 0, 0, 1] = 0.64, -0.64  # is gone after the first halving
    torch.testing.assert_close(distance(drawn, real), torch.tensor([0.01, 0.01]))
    assert distance(torch.ones(1, 1, 7, 7), torch.zeros(1, 1, 7, 7)).item() == 1
    larger = F.interpolate(drawn, scale_factor=2)
    torch.testing.assert_close(distance(drawn, larger), torch.zeros(2))


def test_reconstruction_is_the_distance_of_both_drawings():
    _, discriminator = players((3, 32, 32))
    discriminator.eval()
    real = torch.rand(6, 3, 32, 32) * 2 - 1
    features = discriminator.features(real)
    value = discriminator.reconstruction_error(real, features, draws(6))
    numbers = draws(6).below("reconstruction/quarter", 4)
    assert value.shape == (6,)
    for i, number in enumerate(numbers.tolist()):
        top, left = 16 * (number // 2), 16 * (number % 2)
        part = discriminator.draw_part(features[1][i : i + 1, :, top // 2 : top // 2 + 8, left // 2 : left // 2 + 8])
        whole = discriminator.draw_whole(features[0][i : i + 1])
        expected = 0.0
        for drawn, image in ((whole, real[i : i + 1]), (part, real[i : i + 1, :, top : top + 16, left : left + 16])):
            sizes = [drawn.shape[2] >> n for n in range(10) if drawn.shape[2] >> n >= 4]
            scales = [F.adaptive_avg_pool2d(drawn - image, s).abs().mean() for s in sizes]
            expected += (sum(scales) / len(scales)).item()
        assert value[i].item() == pytest.approx(expected, rel=1e-4)


def test_reconstruction_can_be_learnt():
    _, discriminator = players((1, 16, 16))
    real = torch.rand(4, 1, 1, 1).expand(-1, -1, 16, 16) * 2 - 1
    optimizer = torch.optim.Adam(discriminator.parameters(), 0.01)
    losses = []
    for _ in range(40):
        loss = discriminator.reconstruction_error(real, discriminator.features(real), draws(4)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64)])
@pytest.mark.parametrize("classes", [0, 5])
def test_gradients_reach_all_parameters(shape, classes):
    generator, discriminator = players(shape, classes)
    labels = torch.tensor([1, 3]) if classes else None
    images = generator(torch.randn(2, 8), labels)
    features = discriminator.features(images, labels)
    value = discriminator.reconstruction_error(images, features, draws(2)).sum()
    (value + discriminator.logits(features, labels).square().sum()).backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.any(), name


def test_labels_matter():
    generator, discriminator = (network.eval() for network in players(classes=5))
    z, x = torch.randn(1, 8).expand(5, -1), torch.randn(1, 1, 28, 28).expand(5, -1, -1, -1)
    for table in (generator.embed, discriminator.embed):
        nn.init.normal_(table.weight)
    assert generator(z, torch.arange(5)).std(0).mean() > 1e-6
    assert (discriminator(x, torch.arange(5)).std(0) > 1e-6).all()


def test_initial_weights():
    torch.manual_seed(0)
    for network in (Generator((1, 28, 28)), Discriminator((1, 28, 28))):
        for name, parameter in network.named_parameters():
            if parameter.dim() == 4 and parameter.numel() > 2000:
                assert parameter.std().item() == pytest.approx(0.02, rel=0.1), name
            if parameter.dim() == 1 and name.endswith("weight") and parameter.numel() > 100:
                assert parameter.mean().item() == pytest.approx(1, abs=0.01), name


def test_what_is_too_small_is_refused():
    with pytest.raises(ConfigError, match="27x28"):
        Generator((1, 27, 28))
    for shape in ((1, 12, 12), (1, 30, 27)):
        with pytest.raises(ConfigError, match=f"{shape[1]}x{shape[2]}"):
            Discriminator(shape)
    with pytest.raises(ConfigError):
        Discriminator((2,))
