import pytest
import torch
from feature_helpers import features_installed, write_features
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from organza.config import ConfigError
from organza.layers.spectral import add_spectral_norm
from organza.models.efficientnet import FrozenConv2d
from organza.models.projected import EMBED, Discriminator

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 64, 64), (4, 48, 32), (1, 16, 16), (2, 20, 31)]


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return write_features(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def critic(features):
    def make(shape=(3, 32, 32), classes=0, seed=0, **options):
        torch.manual_seed(seed)
        return Discriminator(shape, classes, **{"features": features, "width": 8, "resize": 64, **options})

    return make


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("classes", [0, 3])
def test_shapes(critic, shape, classes):
    network, labels = critic(shape, classes), torch.tensor([0, 2]) if classes else None
    x = torch.rand(2, *shape) * 2 - 1
    features = network.features(x, labels)
    assert [f.shape[1] for f in features] == [
        32,
        32,
        64,
        64,
    ]  # doubled by two, one, one and one blocks, up to 8 times the width
    logits = network(x, labels)
    assert logits.shape == (2, sum(f[0, 0].numel() for f in features))
    assert torch.isfinite(logits).all()
    assert network.feature_size == 0


@pytest.mark.parametrize(
    ("size", "resize", "maps"),
    [
        (256, 224, [4, 4, 4, 4]),  # the paper's 4x4 logits, for each of the four
        (64, 256, [4, 4, 4, 4]),
        (32, 224, [3, 3, 3, 3]),
        (64, 128, [4, 4, 4, 4]),
        (64, 96, [3, 3, 3, 3]),
        (64, 64, [4, 4, 4, 2]),
        (28, 0, [3, 4, 2, 1]),
    ],
)
def test_logits_of_all_depths_have_the_same_places(critic, size, resize, maps):
    network = critic((1, size, size), resize=resize, width=4)
    with torch.no_grad():
        found = network.features(torch.zeros(2, 1, size, size))
    assert [tuple(f.shape[2:]) for f in found] == [(m, m) for m in maps]


def test_published_widths(features):
    with torch.device("meta"):
        network = Discriminator((3, 256, 256), features=features)
    assert [conv.weight.shape[0] for conv in network.across_channels] == [64, 128, 256, 512]
    convolutions = [[m for m in judge if isinstance(m, nn.Conv2d)] for judge in network.judges]
    assert [[c.out_channels for c in judge] for judge in convolutions] == [
        [128, 256, 512, 512], [256, 512, 512], [512, 512], [512]
    ]  # fmt: skip
    assert all((c.kernel_size, c.stride) == ((4, 4), (2, 2)) for judge in convolutions for c in judge)


def test_the_projection_is_the_formula(critic):
    network, x = critic((3, 40, 30)), torch.rand(2, 3, 40, 30) * 2 - 1
    maps = network.backbone(F.interpolate(x, (85, 64), mode="bilinear"))
    mixed = [F.conv2d(m, conv.weight) for m, conv in zip(maps, network.across_channels, strict=True)]
    for depth in (2, 1, 0):
        deeper = F.conv2d(mixed[depth + 1], network.across_scales[depth].weight, padding=1)
        size = mixed[depth].shape[2:]
        mixed[depth] = mixed[depth] + F.interpolate(deeper, size, mode="bilinear", align_corners=True)
    for found, expected in zip(network.project(x), mixed, strict=True):
        torch.testing.assert_close(found, expected)


def test_every_depth_hears_of_the_deeper_ones(critic):
    """The mixtures have no way back: what is deep reaches the first, and what is first does not reach the last."""
    network, x = critic(), torch.randn(1, 3, 32, 32)
    plain = [m.clone() for m in network.project(x)]
    network.across_channels[3].weight.zero_()
    assert [torch.equal(a, b) for a, b in zip(plain, network.project(x), strict=True)] == [False] * 4
    other = critic()
    other.across_channels[0].weight.zero_()
    assert [torch.equal(a, b) for a, b in zip(plain, other.project(x), strict=True)] == [False, True, True, True]


def test_random_mixtures_follow_he_and_never_learn(critic):
    network = critic(width=64)
    for layer in (*network.across_channels, *network.across_scales):
        inputs = layer.weight[0].numel()
        assert layer.weight.std().item() == pytest.approx((2 / inputs) ** 0.5, rel=0.05)
    learnt = {id(p) for p in network.parameters()}
    assert not any(id(b) in learnt for m in network.modules() if isinstance(m, FrozenConv2d) for b in m.buffers())
    assert all(name.startswith(("judges.", "ends.")) for name, _ in network.named_parameters())


def test_the_state_has_the_random_mixtures_and_not_the_features(critic):
    network = critic()
    state = network.state_dict()
    assert not any(name.startswith("backbone") for name in state)
    assert sum(name.startswith("across_") for name in state) == 7
    other, x = critic(seed=1), torch.randn(2, 3, 32, 32)
    assert not torch.equal(network(x), other(x))
    other.load_state_dict(state)
    assert torch.equal(network.eval()(x), other.eval()(x))


def test_a_state_on_other_features_is_refused(critic, tmp_path):
    state = critic().state_dict()
    with pytest.raises(RuntimeError, match=r"trained on other features.*features-1\.pth"):
        critic(features=write_features(tmp_path, seed=1)).load_state_dict(state)
    assert bytes(state["features_sha256"].tolist()).hex() == critic().backbone.sha256


def test_gradients_reach_all_parameters_and_the_images(critic):
    for classes in (0, 3):
        network, labels = critic(classes=classes), torch.tensor([0, 2, 1]) if classes else None
        x = torch.randn(3, 3, 32, 32, requires_grad=True)
        network(x, labels).square().mean().backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.any(), name
        assert (x.grad != 0).float().mean() > 0.9
        assert all(not b.requires_grad for b in network.buffers())


def test_gradient_of_the_image_is_the_slope(critic):
    """ReLU6 and the leaky ReLU have corners, so that the step is small and the numbers are double."""
    network = critic((1, 24, 24), norm="none").double().eval()
    x = torch.rand(1, 1, 24, 24, dtype=torch.float64, requires_grad=True)
    network(x).sum().backward()
    direction = torch.randn_like(x)
    with torch.no_grad():
        ahead, behind = (network(x + step * direction).sum() for step in (1e-7, -1e-7))
    assert ((ahead - behind) / 2e-7).item() == pytest.approx((x.grad * direction).sum().item(), rel=1e-4)


def test_grey_and_transparent_images(critic):
    grey = torch.rand(2, 1, 32, 32) * 2 - 1
    expected = critic()(grey.expand(-1, 3, -1, -1).contiguous())
    torch.testing.assert_close(critic((1, 32, 32))(grey), expected)
    opaque = torch.ones(2, 1, 32, 32)
    torch.testing.assert_close(critic((2, 32, 32))(torch.cat([grey, opaque], 1)), expected)
    colours, alpha = torch.rand(2, 3, 32, 32) * 2 - 1, torch.rand(2, 1, 32, 32) * 2 - 1
    laid = colours * (alpha / 2 + 0.5)
    torch.testing.assert_close(critic((4, 32, 32))(torch.cat([colours, alpha], 1)), critic()(laid))
    with pytest.raises(ConfigError, match=r"5; add --data\.channels rgb"):
        critic((5, 32, 32))
    with pytest.raises(ConfigError, match="recipe 'gan'"):
        critic((2,))


def test_labels_matter(critic):
    network = critic(classes=3).eval()
    x = torch.randn(1, 3, 32, 32).expand(3, -1, -1, -1)
    logits = network(x, torch.tensor([0, 1, 2]))
    assert (logits[0] - logits[1]).abs().mean() > 1e-3
    assert torch.equal(network(x, torch.tensor([0, 0, 0]))[0], network(x, torch.tensor([0, 0, 0]))[2])


def test_a_conditional_logit_is_a_product(critic):
    network, x = critic(classes=3).eval(), torch.randn(2, 3, 32, 32)
    labels, features = torch.tensor([2, 0]), network.features(x)
    first = network.ends[0](features[0])
    product = torch.einsum("behw,be->bhw", first, network.embed.weight[labels]).flatten(1) / EMBED**0.5
    torch.testing.assert_close(network(x, labels)[:, : product.shape[1]], product)


def test_spectral_norm_takes_judges_alone(critic):
    network = add_spectral_norm(critic(classes=3))
    normed = {name for name, m in network.named_modules() if parametrize.is_parametrized(m)}
    wanted = {name for name, m in network.named_modules() if type(m).__name__ == "ParametrizedConv2d"}
    assert normed == wanted
    assert {name.split(".")[0] for name in normed} == {"judges", "ends"}
    for _ in range(30):
        network(torch.randn(2, 3, 32, 32), torch.tensor([0, 1]))
    largest = torch.linalg.matrix_norm(network.ends[0].weight.flatten(1), 2).item()
    assert largest == pytest.approx(1, abs=0.02)


def test_norm_none_sees_every_sample_alone(critic):
    network, x = critic(norm="none"), torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(network(x)[:1], network(x[:1]), atol=1e-4, rtol=1e-4)
    together = critic(norm="batch")
    assert (together(x)[:2] - together(x[:2])).abs().max() > 1e-2


def test_autocast_in_bfloat16_stays_near(critic):
    network, x = critic(norm="none"), torch.randn(4, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        low = network(x).float()
    exact = network(x)
    assert (low - exact).std() < 0.1 * exact.std()


def test_moves_between_types(critic):
    network = critic().double()
    assert network(torch.randn(2, 3, 32, 32, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.skipif(not features_installed(), reason="no package with weights is installed")
def test_real_features_tell_digits_from_noise_at_once():
    """Twenty steps of the small judges on frozen features, where a new network knows nothing yet."""
    from organza.data import open_dataset

    torch.manual_seed(0)
    network = add_spectral_norm(Discriminator((1, 28, 28), width=8, resize=64))
    digits = open_dataset("mnist", split="test").images
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, (0.0, 0.99))
    for step in range(20):
        real = digits[16 * step : 16 * step + 16] / 127.5 - 1
        blurred = F.avg_pool2d(real, 3, 1, 1)
        loss = F.relu(1 - network(real)).mean() + F.relu(1 + network(blurred)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        real = digits[5000:5064] / 127.5 - 1
        right = (network(real).mean(1) > 0).sum() + (network(F.avg_pool2d(real, 3, 1, 1)).mean(1) < 0).sum()
    assert right > 0.8 * 128
