"""StyleGAN3's generator against the published design and a straight-line reference in float64."""

import math

import pytest
import scipy.signal
import style_reference as reference
import torch
from style_reference import random, shaken
from torch.autograd import gradgradcheck

from organza.config import ConfigError
from organza.models.stylegan3 import Discriminator, Generator

B, Z, W = 3, 5, 6
SMALL = {"z_dim": Z, "w_dim": W, "width": 2, "max_width": 6, "layers": 4, "margin": 4}
R = {"kernel": 1, "radial": True}
R_1024 = {"width": 64, "max_width": 1024, **R}


def maker(shape=(3, 16, 16), classes=0, **changes) -> Generator:
    torch.manual_seed(0)
    network = shaken(Generator(shape, classes, **{**SMALL, **changes}), size=0.3)
    with torch.no_grad():
        for name, buffer in network.named_buffers():
            if name.endswith("magnitude_ema"):
                buffer.copy_(1 + 0.5 * random(seed=len(name)).abs())
    return network.eval()


def tensors(network) -> dict:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


T_NAMES = (
    "L0_36_512 L1_36_512 L2_52_512 L3_52_512 L4_84_512 L5_148_512 L6_148_512 L7_276_323 L8_276_203 L9_532_128 "
    "L10_1044_81 L11_1044_51 L12_1044_32 L13_1024_32 L14_1024_3"
)
R_NAMES = (
    "L0_36_1024 L1_36_1024 L2_52_1024 L3_52_1024 L4_84_1024 L5_148_1024 L6_148_1024 L7_276_645 L8_276_406 L9_532_256 "
    "L10_1044_161 L11_1044_102 L12_1044_64 L13_1024_64 L14_1024_3"
)


@pytest.mark.parametrize(
    ("side", "options", "count", "names"),
    [
        (1024, {}, 22_313_167, T_NAMES),
        (1024, R_1024, 15_093_151, R_NAMES),
        (512, {**R_1024, "width": 128}, 16_665_594, "L0_36_1024"),
        (256, {"width": 128}, 28_472_133, "L9_148_362 L10_276_256 L11_276_181 L12_276_128 L13_256_128 L14_256_3"),
    ],
)
def test_published_parameter_counts_and_names(side, options, count, names):
    with torch.device("meta"):
        network = Generator((3, side, side), **options)
    assert sum(p.numel() for p in network.parameters()) == count
    made = network.synthesis.names
    assert names.split() == [name for name in made if name in names.split()]
    assert len(made) == 15
    assert network.num_ws == 16
    layers = [network.synthesis.get_submodule(name) for name in made]
    three = options.get("kernel", 3) == 3
    if side == 1024:
        assert layers[1].pads[0] == ((9, 8) if three else (11, 10))
        assert layers[2].pads[0] == ((-6, -9) if three else (-2, -5))
        assert layers[13].pads[0] == ((-11, -12) if three else (-9, -10))
        assert layers[14].pads[0] == (0, 0)
    assert layers[14].up_filter is layers[14].down_filter is None
    assert [layer.down_filter.dim() for layer in layers[:14]] == ([1] * 14 if three else [2] * 12 + [1] * 2)
    expected = 6 * torch.tensor([layer.up for layer in layers[:14]])
    assert [len(layer.up_filter) for layer in layers[:14]] == expected.tolist()


def test_names_and_shapes_of_the_official_files():
    network = maker((3, 32, 32), 4, **R)
    found = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    channels = len(network.synthesis.input.freqs)
    assert {name.removeprefix("synthesis.input."): shape for name, shape in found.items() if "input" in name} == {
        "weight": (channels, channels), "affine.weight": (4, W), "affine.bias": (4,), "transform": (3, 3),
        "freqs": (channels, 2), "phases": (channels,),
    }  # fmt: skip
    first = f"synthesis.{network.synthesis.names[0]}."
    assert {name.removeprefix(first) for name in found if name.startswith(first)} == {
        "weight", "bias", "magnitude_ema", "affine.weight", "affine.bias", "up_filter", "down_filter",
    }  # fmt: skip
    assert found[first + "magnitude_ema"] == ()
    assert found[first + "down_filter"] == (12, 12)
    assert not any("filter" in name for name in found if name.startswith(f"synthesis.{network.synthesis.names[-1]}."))
    assert "mapping.w_avg" in found


def test_waves_begin_still_and_spread_over_their_band():
    torch.manual_seed(0)
    waves = Generator((3, 64, 64), width=128, max_width=512).synthesis.input
    assert waves.affine.bias.tolist() == [1, 0, 0, 0]
    assert not waves.affine.weight.any()
    radii = waves.freqs.norm(dim=1)
    assert radii.max() <= 2  # the first cutoff
    inside = (radii < 2 / math.sqrt(2)).float().mean()
    assert 0.4 < inside < 0.6  # half of the area of the disc
    assert waves.phases.min() >= -0.5
    assert waves.phases.max() <= 0.5
    assert waves.phases.std() == pytest.approx(1 / math.sqrt(12), rel=0.15)


@pytest.mark.parametrize("options", [{}, R], ids=["T", "R"])
@pytest.mark.parametrize(("side", "clamp"), [(16, 0.8), (32, 256.0)])
def test_generator(options, side, clamp):
    network = maker((3, side, side), 3, **options, clamp=clamp)
    rows = B if side == 16 else 1  # the reference is slow
    labels, z, t = torch.tensor([2, 0, 1])[:rows], random(rows, Z), tensors(network)
    ws = network.broadcast(reference.mapping(t, "mapping", z, labels))
    design, k = reference.bands(side, 4, 2, 4), options.get("kernel", 3)
    expected = reference.synthesis3(t, network.synthesis.names, ws, design, k, clamp=clamp)
    assert expected.shape == (rows, 3, side, side)
    assert expected.std() > 0.05
    torch.testing.assert_close(network(z, labels), expected, rtol=1e-5, atol=1e-6)
    if side == 32:
        return
    ws = random(B, network.num_ws, W, seed=4)  # every layer takes its own
    expected = reference.synthesis3(t, network.synthesis.names, ws, design, k, clamp=clamp)
    torch.testing.assert_close(network.synthesis(ws), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("given", ["stored", "passed"])
def test_a_transform_of_the_waves(given):
    network, turn = maker(), 0.4
    move = torch.tensor([[math.cos(turn), -math.sin(turn), 0.1], [math.sin(turn), math.cos(turn), -0.05], [0, 0, 1]])
    move, ws, t = move.double(), random(B, network.num_ws, W), tensors(network)
    expected = reference.synthesis3(t, network.synthesis.names, ws, reference.bands(16, 4, 2, 4), 3, transform=move)
    if given == "stored":
        network.synthesis.input.transform.copy_(move)
    found = network.synthesis(ws, transform=move if given == "passed" else None)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    each = torch.stack([torch.eye(3, dtype=torch.float64), move, move])
    found = network.synthesis(ws, transform=each)
    torch.testing.assert_close(found[1:], expected[1:], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(found[:1], expected[:1], atol=0.01)


def test_design_of_any_layers():
    """Cutoffs grow geometrically; the last `critical` layers and the colours sample critically."""
    with torch.device("meta"):
        network = Generator((3, 1024, 1024))
    band = network.synthesis.input.band
    assert (band.cutoff, band.rate, band.size) == (2.0, 16, (36, 36))
    assert band.half_width == pytest.approx(8 - 2)
    assert [b["rate"] for b in reference.bands(1024, 14, 2, 10)] == [
        16, 16, 32, 32, 64, 128, 128, 256, 256, 512, 1024, 1024, 1024, 1024, 1024,
    ]  # fmt: skip


@pytest.mark.parametrize("shape", [(1, 16, 16), (4, 32, 24), (3, 48, 20), (2, 24, 40)])
@pytest.mark.parametrize("options", [{}, R], ids=["T", "R"])
def test_other_sizes_are_cut_out_of_the_next_power_of_two(shape, options):
    network = maker(shape, **options)
    made = network(random(B, Z))
    assert made.shape == (B, *shape)
    side = 2 ** (max(shape[1:]) - 1).bit_length()
    whole = maker((shape[0], side, side), **options, width=2)
    own = {
        name: tensor
        for (name, tensor), (other, _) in zip(network.state_dict().items(), whole.state_dict().items(), strict=True)
        if name.split(".")[-1] == other.split(".")[-1]
    }
    whole.load_state_dict(dict(zip(whole.state_dict(), own.values(), strict=True)))
    rows, columns = (slice((side - n) // 2, (side - n) // 2 + n) for n in shape[1:])
    large = whole(random(B, Z))[:, :, rows, columns]
    middle = (slice(None), slice(None), slice(5, -5), slice(5, -5))  # near the margin what lies beyond differs
    assert (large - made)[middle].abs().mean() < 0.12 * made.std()


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 100, 100), (3, 64, 62)])
def test_sizes_without_a_design_are_refused(shape):
    with pytest.raises(ConfigError, match=r"--data.resolution \d+,\d+"):
        maker(shape)
    with pytest.raises(ConfigError, match="makes images"):
        maker((2,))


def test_samples_do_not_see_each_other():
    network, z = maker(**R), random(B, Z)
    torch.testing.assert_close(network(z)[1:2], network(z[1:2]), rtol=1e-9, atol=1e-9)


def test_running_magnitudes_move_in_training_alone_and_divide():
    network, z = maker(magnitude_decay=0.75), random(B, Z)
    name = network.synthesis.names[0]
    layer, before = network.synthesis.get_submodule(name), tensors(network)
    waves = network.synthesis.input(network.mapping(z))
    network(z)
    assert torch.equal(layer.magnitude_ema, before[f"synthesis.{name}.magnitude_ema"])
    network.train()(z)
    old = before[f"synthesis.{name}.magnitude_ema"]
    torch.testing.assert_close(layer.magnitude_ema, 0.75 * old + 0.25 * waves.square().mean().detach())
    torch.testing.assert_close(network.mapping.w_avg, 0.002 * network.mapping(z).detach().mean(0))


def test_a_fresh_network_keeps_unit_variance_from_layer_to_layer():
    torch.manual_seed(0)
    network = Generator((3, 32, 32), z_dim=16, w_dim=16, width=32, max_width=64, layers=6, margin=4, magnitude_decay=0)
    sizes = []
    for name in network.synthesis.names[:-1]:
        network.synthesis.get_submodule(name).register_forward_hook(
            lambda _m, _i, y: sizes.append(float(y.detach().std()))
        )
    made = network.train()(torch.randn(8, 16))
    assert all(0.3 < size < 3 for size in sizes)
    assert 0.05 < made.std() < 2


def test_scale_of_the_output():
    one, other = maker(output_scale=0.25), maker(output_scale=0.5)
    torch.testing.assert_close(2 * one(random(B, Z)), other(random(B, Z)))


@pytest.mark.parametrize("options", [{}, R], ids=["T", "R"])
def test_second_derivatives(options):
    network = maker((1, 16, 16), **options, width=2, max_width=2, margin=2)
    ws = random(1, network.num_ws, W).requires_grad_()
    assert gradgradcheck(network.synthesis, ws, fast_mode=True)


def test_second_derivatives_of_the_waves():
    """By the style and by a motion from outside."""
    waves = maker((1, 16, 16), width=2, max_width=3, margin=0).synthesis.input
    w, motion = random(2, W).requires_grad_(), (torch.eye(3).double() + 0.01 * random(1, 3, 3)).requires_grad_()
    assert waves(w, motion).shape == (2, 3, 16, 16)
    assert gradgradcheck(lambda v, m: waves(v, m)[:, :, ::5, ::5], (w, motion), fast_mode=True)
    assert gradgradcheck(lambda v, m: waves(v, m)[:1, :1, 3:5, 3:5], (w, motion))


def test_every_parameter_learns():
    network, discriminator = maker(classes=3).train(), Discriminator((3, 16, 16), 3, width=2, max_width=4, group=1)
    labels = torch.tensor([2, 0, 1])
    discriminator.double()(network(random(B, Z), labels), labels).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("options", [{}, R], ids=["T", "R"])
def test_up_filters_have_the_design_of_the_input_and_down_filters_that_of_the_output(options):
    network, design = maker((3, 64, 64), layers=8, **options), reference.bands(64, 8, 2, 4)
    for number, name in enumerate(network.synthesis.names[:-1]):
        layer = network.synthesis.get_submodule(name)
        before, band = design[max(number - 1, 0)], design[number]
        fine = 2 * max(before["rate"], band["rate"])
        up, down = (
            scipy.signal.firwin(6 * fine // b["rate"], cutoff=b["cutoff"], width=2 * b["half"], fs=fine)
            for b in (before, band)
        )
        torch.testing.assert_close(layer.up_filter, torch.from_numpy(up), rtol=0, atol=1e-7)
        if options and number < 6:  # round
            assert layer.down_filter.shape == (len(down), len(down))
            assert layer.down_filter.sum().item() == pytest.approx(1, abs=1e-6)
            middle = len(down) // 2
            nearest = layer.down_filter[middle] / layer.down_filter[middle].sum()  # close to the straight design
            assert (nearest - torch.from_numpy(down)).abs().max() < 0.05
        else:
            torch.testing.assert_close(layer.down_filter, torch.from_numpy(down), rtol=0, atol=1e-7)
