import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from organza.config import ConfigError
from organza.layers.spectral import add_spectral_norm, without_spectral_norm
from organza.models.spade import Discriminator, Encoder, Generator, Spade


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def square(channels, side=256):
    return channels, side, side


@pytest.mark.parametrize(
    ("channels", "options", "count"),
    [
        (184, {}, 97_480_899), (151, {}, 96_492_483), (36, {"ups": "more"}, 93_048_003), (13, {}, 92_359_107),
        (36, {"ups": "most"}, 93_570_659), (184, {"vae": True}, 112_626_883),
    ],
)  # fmt: skip
def test_official_parameter_counts_of_the_generator(channels, options, count):
    with torch.device("meta"):  # spectral norm adds buffers, not parameters, and is slow here
        assert parameters(Generator(square(channels), square(3), spectral=False, **options)) == count


@pytest.mark.parametrize(("channels", "count"), [(187, 5_904_514), (154, 5_836_930), (39, 5_601_410), (16, 5_554_306)])
def test_official_parameter_counts_of_the_discriminator(channels, count):
    with torch.device("meta"):
        network = Discriminator(square(channels), spectral=False)
        found = network.features(torch.empty(1, channels, 256, 256))
        logits = network.logits(found)
    assert parameters(network) == count
    assert network.parts == (35**2, 19**2)
    assert logits.shape == (1, 35**2 + 19**2)
    assert [f.shape[2] for f in found] == [129, 65, 33, 34, 65, 33, 17, 18]


def test_official_parameter_count_of_the_encoder():
    with torch.device("meta"):
        assert parameters(Encoder(square(3), spectral=False)) == 10_463_424


def spectral(key, bias=True):
    found = {f"{key}.parametrizations.weight.original"}
    found |= {f"{key}.parametrizations.weight.0.{name}" for name in ("_u", "_v")}
    return found | ({f"{key}.bias"} if bias else set())


def plain(key):
    return {f"{key}.weight", f"{key}.bias"}


def spade(key):
    found = {f"{key}.param_free_norm.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")}
    return found.union(*(plain(f"{key}.{name}") for name in ("mlp_shared.0", "mlp_gamma", "mlp_beta")))


def test_official_keys_in_the_new_names_of_spectral_norm():
    state = Generator(square(36), square(3), ups="most", width=2).state_dict()
    judge = Discriminator(square(39), width=2).state_dict()
    encoder = Encoder(square(3), width=2).state_dict()
    expected = plain("fc") | plain("conv_img")
    for block in ("head_0", "G_middle_0", "G_middle_1", *(f"up_{i}" for i in range(5))):
        for i in (0, 1):
            expected |= spectral(f"{block}.conv_{i}") | spade(f"{block}.norm_{i}")
        if block.startswith("up"):
            expected |= spectral(f"{block}.conv_s", bias=False) | spade(f"{block}.norm_s")
    assert set(state) == expected
    expected = set()
    for scale in range(2):
        path = f"discriminator_{scale}.model"
        expected |= plain(f"{path}0.0") | plain(f"{path}4.0")
        expected = expected.union(*(spectral(f"{path}{layer}.0.0", bias=False) for layer in (1, 2, 3)))
    assert set(judge) == expected
    expected = plain("fc_mu") | plain("fc_var")
    assert set(encoder) == expected.union(*(spectral(f"layer{i}.0", bias=False) for i in range(1, 7)))


def weight(state, key):
    """W / (u W v), as spectral norm has it; W itself where it has none."""
    if f"{key}.weight" in state:
        return state[f"{key}.weight"]
    w, u, v = (state[f"{key}.parametrizations.weight.{name}"] for name in ("original", "0._u", "0._v"))
    return w / (u @ w.flatten(1) @ v)


def conv(state, x, key, **options):
    return F.conv2d(x, weight(state, key), state.get(f"{key}.bias"), **options)


def nearest(x, height, width):
    rows = torch.arange(height) * x.shape[2] // height
    columns = torch.arange(width) * x.shape[3] // width
    return x[:, :, rows][..., columns]


def modulated(state, x, maps, key):
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    shared = F.relu(conv(state, nearest(maps, *x.shape[2:]), f"{key}.mlp_shared.0", padding=1))
    gain = 1 + conv(state, shared, f"{key}.mlp_gamma", padding=1)
    return gain * (x - mean) / (variance + 1e-5).sqrt() + conv(state, shared, f"{key}.mlp_beta", padding=1)


def block(state, x, maps, key):
    h = x
    for i in (0, 1):
        h = conv(state, F.leaky_relu(modulated(state, h, maps, f"{key}.norm_{i}"), 0.2), f"{key}.conv_{i}", padding=1)
    learned = f"{key}.conv_s.parametrizations.weight.original" in state
    return h + (conv(state, modulated(state, x, maps, f"{key}.norm_s"), f"{key}.conv_s") if learned else x)


def loud(network):
    """In double, with weights that are large enough to be seen; batch statistics, but no further power iteration."""
    for name, p in network.double().named_parameters():
        if "mlp" in name or "parametrizations" not in name:
            nn.init.normal_(p, 0.0, 0.1)
    for module in network.modules():
        if parametrize.is_parametrized(module):
            module.parametrizations["weight"].eval()
    return network


@pytest.mark.parametrize(
    ("ups", "doubled"),
    [
        ("usual", ("G_middle_0", "up_0", "up_1", "up_2", "up_3")),
        ("more", ("G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3")),
        ("most", ("G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3", "up_4")),
    ],
)
def test_generator_is_the_formula(ups, doubled):
    torch.manual_seed(0)
    side = 2 ** len(doubled)
    network = loud(Generator((3, side, 2 * side), (2, side, 2 * side), width=2, ups=ups, hidden=4))
    maps, state = F.one_hot(torch.randint(0, 3, (2, side, 2 * side)), 3).movedim(-1, 1).double(), network.state_dict()
    h = conv(state, nearest(maps, 1, 2), "fc", padding=1)
    for name in ("head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3", "up_4"):
        h = h.repeat_interleave(2, 2).repeat_interleave(2, 3) if name in doubled else h
        h = block(state, h, maps, name) if name != "up_4" or ups == "most" else h
    torch.testing.assert_close(network(maps), conv(state, F.leaky_relu(h, 0.2), "conv_img", padding=1).tanh())
    assert network.multiple == side


def instance(x):
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), correction=0, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


def test_discriminator_is_the_formula():
    torch.manual_seed(0)
    network, x = loud(Discriminator((2, 24, 17), width=4)), torch.randn(2, 2, 24, 17).double()
    state, logits = network.state_dict(), []
    for scale, seen in enumerate((x, F.avg_pool2d(x, 3, 2, 1, count_include_pad=False))):
        path = f"discriminator_{scale}.model"
        h = F.leaky_relu(conv(state, seen, f"{path}0.0", stride=2, padding=2), 0.2)
        for layer, stride in ((1, 2), (2, 2), (3, 1)):
            h = F.leaky_relu(instance(conv(state, h, f"{path}{layer}.0.0", stride=stride, padding=2)), 0.2)
        logits.append(conv(state, h, f"{path}4.0", padding=2).flatten(1))
    torch.testing.assert_close(network(x), torch.cat(logits, 1))
    assert tuple(part.shape[1] for part in logits) == network.parts


@pytest.mark.parametrize(("size", "side", "layers"), [((32, 32), 32, 3), ((70, 40), 32, 3), ((16, 300), 16, 2)])
def test_encoder_is_the_formula(size, side, layers):
    torch.manual_seed(0)
    network, x = loud(Encoder((2, *size), z_dim=5, width=4)), torch.randn(2, 2, *size).double()
    state = network.state_dict()
    h = x if size == (side, side) else F.interpolate(x, (side, side), mode="bilinear")
    for i in range(1, layers + 1):
        h = F.leaky_relu(instance(conv(state, h, f"layer{i}.0", stride=2, padding=1)), 0.2)
    assert f"layer{layers + 1}.0.parametrizations.weight.original" not in state
    for found, key in zip(network(x), ("fc_mu", "fc_var"), strict=True):
        torch.testing.assert_close(found, h.flatten(1) @ state[f"{key}.weight"].T + state[f"{key}.bias"])


def test_spade_without_gains_is_batch_norm():
    torch.manual_seed(0)
    network, other = Spade(4, 3), nn.BatchNorm2d(4)
    for layer in (network.mlp_gamma, network.mlp_beta):
        nn.init.zeros_(layer.weight)
    x, maps = 3 * torch.randn(2, 4, 5, 6) + 1, torch.rand(2, 3, 10, 12)
    torch.testing.assert_close(network(x, maps), other(x))
    torch.testing.assert_close(network.eval()(x, maps), other.eval()(x))


def test_a_gain_of_the_map_stays_in_its_place():
    torch.manual_seed(0)
    network, x, maps = Spade(2, 1).eval(), torch.randn(1, 2, 12, 12), torch.zeros(1, 1, 12, 12)
    nn.init.normal_(network.mlp_gamma.weight)
    nn.init.normal_(network.mlp_shared[0].weight)
    changed = maps.clone()
    changed[..., 6, 6] = 1
    rows, columns = (network(x, maps) - network(x, changed)).abs().sum((0, 1)).nonzero().unbind(1)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 8, 4, 8)  # 3x3 behind 3x3


@pytest.mark.parametrize("options", [{}, {"norm": "instance"}, {"spectral": False}, {"vae": True, "z_dim": 6}])
def test_shapes_range_and_gradients(options):
    torch.manual_seed(0)
    generator = Generator((3, 64, 32), (1, 64, 32), width=2, hidden=8, **options)
    judge = Discriminator((4, 64, 32), width=4, spectral=options.get("spectral", True))
    maps = F.one_hot(torch.randint(0, 3, (2, 64, 32)), 3).movedim(-1, 1).float()
    z = torch.randn(2, 6) if "vae" in options else None
    images = generator(maps, z)
    assert generator.z_dim == (6 if z is not None else 0)
    assert images.shape == (2, 1, 64, 32)
    assert -1 <= images.min() < images.max() <= 1
    judge(torch.cat([maps, images], 1)).square().sum().backward()
    for network in (generator, judge):
        for name, p in network.named_parameters():
            assert p.grad is not None, name
            assert p.grad.any() or name.endswith("bias"), name


def test_other_sizes_noise_and_labels():
    torch.manual_seed(0)
    network = Generator((3, 32, 32), (1, 32, 32), 2, width=2).eval()
    assert network(torch.zeros(1, 3, 64, 96), None, torch.tensor([1])).shape == (1, 1, 64, 96)
    assert len(Generator((3, 32, 32), (1, 32, 32), width=2).fc.weight[0]) == 3
    with pytest.raises(ValueError, match="pad them to 64x32"):
        network(torch.zeros(1, 3, 40, 32), None, torch.tensor([1]))
    loud(network)
    maps = torch.rand(1, 3, 32, 32).double()
    one, two = (network(maps, None, torch.tensor([label])) for label in (0, 1))
    assert (one - two).abs().max() > 1e-3
    noisy = Generator((3, 32, 32), (1, 32, 32), width=2, vae=True, z_dim=4).eval()
    maps = torch.rand(1, 3, 32, 32)
    assert (noisy(maps, torch.randn(1, 4)) - noisy(maps, torch.randn(1, 4))).abs().max() > 1e-7
    with pytest.raises(ValueError, match=r"needs noise \[B, 4\]"):
        noisy(maps)
    with pytest.raises(ValueError, match="makes 32x32 alone, not 64x32"):
        noisy(torch.rand(1, 3, 64, 32), torch.randn(1, 4))


def test_spectral_norm_is_built_in_once():
    torch.manual_seed(0)
    network = Discriminator((2, 32, 32), width=4)
    with pytest.raises(ConfigError, match="finds no plain"):
        add_spectral_norm(network)
    for _ in range(30):
        network(torch.randn(1, 2, 32, 32))
    layer = network.get_submodule("discriminator_1.model2.0.0")
    assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.01)
    bare = Discriminator((2, 32, 32), width=4, spectral=False)
    assert not any(parametrize.is_parametrized(m) for m in bare.modules())
    add_spectral_norm(bare)


def test_weights_for_use_load_into_the_same_network():
    """Folders and exports hold the normed weights; a new network takes either form."""
    torch.manual_seed(0)
    made = [Generator((3, 32, 32), (1, 32, 32), width=2, hidden=4).eval() for _ in range(3)]
    network, other, third = (loud(one) for one in made)
    x = torch.rand(1, 3, 32, 32).double()
    other.load_state_dict(without_spectral_norm(network).state_dict())
    assert not any(parametrize.is_parametrized(m) for m in other.modules())
    third.load_state_dict(network.state_dict())
    assert all(parametrize.is_parametrized(third.get_submodule(f"up_{i}.conv_s")) for i in range(4))
    for loaded in (other, third):
        torch.testing.assert_close(loaded(x), network(x))
    nested = nn.ModuleList([loud(Generator((3, 32, 32), (1, 32, 32), width=2, hidden=4)).eval()])
    nested.load_state_dict({f"0.{key}": value for key, value in other.state_dict().items()})
    torch.testing.assert_close(nested[0](x), network(x))


def test_start():
    torch.manual_seed(0)
    network = Generator((3, 32, 32), (3, 32, 32), width=8)
    original = network.head_0.conv_0.parametrizations["weight"].original
    assert original.std().item() == pytest.approx(0.02 * (2 / (2 * 128 * 9)) ** 0.5, rel=0.02)
    shared = network.head_0.norm_0.mlp_shared[0].weight
    assert shared.std().item() == pytest.approx(0.02 * (2 / ((3 + 128) * 9)) ** 0.5, rel=0.05)
    assert all(not p.any() for name, p in network.named_parameters() if name.endswith("bias"))


def test_refusals():
    with pytest.raises(ConfigError, match=r"multiples of 128; type --data\.resolution 128 128"):
        Generator((3, 64, 64), (3, 64, 64), ups="most")
    with pytest.raises(ConfigError, match="judged at 1 scale at most, not 2"):
        Discriminator((3, 8, 8))
    with pytest.raises(ConfigError, match="type a number from 2"):
        Discriminator((3, 64, 64), layers=1)
    with pytest.raises(ConfigError, match="too small for an encoder"):
        Encoder((3, 4, 8))
