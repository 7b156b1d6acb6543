"""The layers of style-based generators against one kernel for each sample, and their derivatives."""

import math

import pytest
import style_reference as reference
import torch
from style_reference import random, shaken
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call

from organza.draws import Draws
from organza.layers.style import (
    Conv,
    Mapping,
    StyledConv,
    ToImage,
    demodulation,
    enlarged_conv,
    mixed,
    training_codes,
)  # fmt: skip

B, W = 3, 5


def tensors(layer: torch.nn.Module, name: str = "it") -> dict:
    return {f"{name}.{key}": tensor.detach() for key, tensor in layer.state_dict().items()}


# Mapping


@pytest.mark.parametrize(("z_dim", "classes"), [(4, 0), (4, 3), (0, 3)])
def test_mapping(z_dim, classes):
    layer = shaken(Mapping(z_dim, classes, W, 3))
    with torch.no_grad():
        for number in range(3):
            getattr(layer, f"fc{number}").weight.mul_(100)
    z, labels = random(B, z_dim) if z_dim else None, torch.tensor([2, 0, 1]) if classes else None
    expected = reference.mapping(tensors(layer), "it", z, labels)
    torch.testing.assert_close(layer(z, labels), expected, rtol=1e-10, atol=1e-12)
    assert expected.std() > 1e-3
    if classes:
        torch.testing.assert_close(layer(z, torch.eye(3, dtype=torch.float64)[labels]), expected)
        assert not torch.allclose(layer(z, torch.tensor([2, 1, 1])), expected)


def test_mapping_begins_with_unit_variance_and_a_hundredth_of_the_rate():
    torch.manual_seed(0)
    layer = Mapping(64, 0, 64, 4)
    assert layer.fc1.weight.std().item() == pytest.approx(100, rel=0.05)
    w = layer(torch.randn(500, 64))
    assert 0.5 < w.square().mean().sqrt() < 1.5
    optimizer, before = torch.optim.Adam(layer.parameters(), 0.01), layer.fc1.bias.detach().clone()
    layer(torch.randn(8, 64)).sum().backward()
    optimizer.step()
    moved = (layer.fc1.bias - before).abs() * layer.fc1.rate
    assert moved.max().item() == pytest.approx(1e-4, rel=0.01)  # Adam's first step, a hundredth of it


def test_the_mean_of_w_is_followed_and_pulls():
    layer = Mapping(4, 0, W, 1, decay=0.9).double()
    w = random(6, W)
    layer.follow(w)
    layer.follow(w + 1)
    torch.testing.assert_close(layer.w_avg, 0.1 * 0.9 * w.mean(0) + 0.1 * (w.mean(0) + 1))
    ws, centre = random(2, 4, W), layer.w_avg
    pulled = layer.truncated(ws, 0.7, cutoff=3)
    torch.testing.assert_close(pulled[:, :3], centre + 0.7 * (ws[:, :3] - centre))
    assert torch.equal(pulled[:, 3:], ws[:, 3:])
    torch.testing.assert_close(layer.truncated(ws, 0.0), centre.expand(2, 4, W))
    torch.testing.assert_close(layer.truncated(ws, 1.0), ws)


def test_a_share_of_the_samples_changes_to_another_w_at_any_layer():
    count, layers = 20_000, 6
    draws = Draws(torch.arange(count) * 7919)
    ws, other = torch.zeros(count, layers, 1), torch.ones(count, layers, 1)
    found = mixed(ws, other, 0.9, draws)[:, :, 0]
    firsts = layers - found.sum(1).long()  # the first layer of the other, `layers` for none
    assert torch.equal(found, (torch.arange(layers) >= firsts[:, None]).float())
    shares = torch.bincount(firsts, minlength=layers + 1) / count
    assert shares[0] == 0
    torch.testing.assert_close(shares[1:], torch.tensor([*[0.9 / 5] * 5, 0.1]), rtol=0, atol=0.01)
    assert not mixed(ws, other, 0.0, draws).any()


def test_codes_of_training_belong_to_their_noise_and_move_the_mean():
    layer = Mapping(4, 0, W, 2, decay=0.75)
    z = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))
    codes = training_codes(layer, z, None, 6, share=0.9)
    torch.testing.assert_close(layer.w_avg, 0.25 * layer(z).mean(0))  # of the first w, before the second joins
    order = torch.tensor([5, 2, 7])
    torch.testing.assert_close(training_codes(layer, z[order], None, 6, share=0.9), codes[order])
    assert torch.equal(codes[:, 0], layer(z))
    assert (codes[:, -1] != layer(z)).any(1).float().mean() > 0.5
    plain = training_codes(layer, z, None, 6)
    assert torch.equal(plain, layer(z)[:, None].expand(-1, 6, -1))


# Convolutions


def test_demodulated_kernels_keep_unit_variance():
    torch.manual_seed(0)
    weight, styles = torch.randn(40, 30, 3, 3), 1 + 3 * torch.randn(2, 30)
    scale = demodulation(weight, styles)
    for sample in range(2):
        kernel = weight * styles[sample][:, None, None] * scale[sample][:, None, None, None]
        torch.testing.assert_close(kernel.square().sum((1, 2, 3)), torch.ones(40))
    assert torch.isfinite(demodulation(weight, torch.zeros(1, 30))).all()
    torch.testing.assert_close(demodulation(weight, torch.zeros(1, 30)), torch.full((1, 40), 1e4))


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize(("gain", "clamp"), [(1.0, None), (0.7, 0.9)])
@pytest.mark.parametrize("noise", ["const", "none", "pictures"])
def test_styled_convolution(up, gain, clamp, noise):
    size = (8, 6) if up else (4, 3)
    layer = shaken(StyledConv(4, 6, W, size, up=up, clamp=clamp))
    x, w = random(B, 4, 4, 3), random(B, W, seed=1)
    picture = random(B, 1, *size, seed=2) if noise == "pictures" else noise
    found = layer(x, w, picture, None, gain)
    expected = reference.styled(x, tensors(layer), "it", w, picture, up, gain, clamp)
    assert found.shape == (B, 6, *size)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_random_noise_is_that_of_the_draws():
    layer = shaken(StyledConv(4, 6, W, (4, 3)))
    x, w, draws = random(B, 4, 4, 3), random(B, W, seed=1), Draws(torch.arange(B))
    picture = draws.normal("noise", 1, 4, 3)
    assert torch.equal(layer(x, w, "random", draws), layer(x, w, picture, None))
    assert not torch.equal(layer(x, w, "random", Draws(torch.arange(B) + 9)), layer(x, w, picture, None))


@pytest.mark.parametrize("clamp", [None, 0.3])
def test_colours(clamp):
    layer = shaken(ToImage(7, 2, W, clamp=clamp))
    x, w, t = random(B, 7, 4, 3), random(B, W, seed=1), tensors(layer)
    own = reference.modulated(x, t, "it", w, demodulate=False) + t["it.bias"][:, None, None]
    torch.testing.assert_close(layer(x, w), reference.bounded(own, clamp), rtol=1e-9, atol=1e-9)


MODES = [(k, up, down) for k in (1, 3) for up, down in ((False, False), (True, False), (False, True))]


@pytest.mark.parametrize(("kernel", "up", "down"), MODES)
@pytest.mark.parametrize(("bias", "active", "gain", "clamp"), [(True, True, 0.7, 0.5), (False, False, 1.3, None)])
def test_equalised_convolution(kernel, up, down, bias, active, gain, clamp):
    layer = shaken(Conv(4, 6, kernel, bias=bias, active=active, up=up, down=down, clamp=clamp))
    x, t = random(B, 4, 6, 4), tensors(layer)
    y = reference.conv(x, t["it.weight"] / math.sqrt(4 * kernel**2), up, down)
    y = y + t["it.bias"][:, None, None] if bias else y
    y = (reference.leaky(y) * math.sqrt(2) if active else y) * gain
    expected = reference.bounded(y, None if clamp is None else clamp * gain)
    torch.testing.assert_close(layer(x, gain), expected, rtol=1e-9, atol=1e-9)


def test_an_enlarged_impulse_is_the_kernel_as_it_stands():
    """Not turned around: behind the filter, the corner with the largest weight stays where it is stored."""
    kernel = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    kernel[0, 0, 0, 2] = 1.0
    x = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    x[0, 0, 2, 2] = 1.0
    y = enlarged_conv(x, kernel, reference.FIR2)[0, 0]
    rows, columns = torch.meshgrid(*[torch.arange(10.0, dtype=torch.float64)] * 2, indexing="ij")
    centre = [(y * place).sum().item() / y.sum().item() for place in (rows, columns)]
    assert centre == pytest.approx([3.5, 5.5])  # the pixel's own place is 4.5, 4.5
    assert y.sum().item() == pytest.approx(4)


def test_samples_do_not_see_each_other():
    layer = StyledConv(4, 6, W, (8, 8), up=True)
    x, w = torch.randn(4, 4, 4, 4), torch.randn(4, W)
    torch.testing.assert_close(layer(x, w, "const", None)[2:3], layer(x[2:3], w[2:3], "const", None))


def test_one_ordinary_convolution_with_the_stored_kernel_is_exported():
    layer = StyledConv(4, 6, W, (8, 8)).requires_grad_(False)

    class Alone(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
            return self.layer(x, w, "const", None)

    batch = torch.export.Dim("batch", min=1, max=64)
    x, w = torch.randn(2, 4, 8, 8), torch.randn(2, W)
    program = torch.export.export(Alone(), (x, w), dynamic_shapes=({0: batch}, {0: batch}))
    calls = [node for node in program.graph.nodes if "conv" in str(node.target)]
    assert len(calls) == 1
    assert len(calls[0].args) < 7 or calls[0].args[6] == 1  # groups
    assert calls[0].args[1].op == "placeholder"  # the parameter itself
    x, w = torch.randn(5, 4, 8, 8), torch.randn(5, W)
    torch.testing.assert_close(program.module()(x, w), layer(x, w, "const", None))


# Derivatives


def cases() -> dict:
    """Name -> (layer, what it is given, how many of it to differentiate by)."""
    x, w = random(2, 2, 4, 2), random(2, 3, seed=1)
    made = {f"conv-{k}-{u}-{d}": (Conv(2, 2, k, up=u, down=d), (x,), 1) for k, u, d in MODES}
    for up in (False, True):
        layer = StyledConv(2, 2, 3, (8, 4) if up else (4, 2), up=up)
        made[f"styled-{up}"] = layer, (x, w, "const", None), 2
    made["colours"] = ToImage(2, 2, 3), (x, w), 2
    made["mapping"] = Mapping(3, 2, 3, 2), (w, torch.tensor([0, 1])), 1
    return made


@pytest.mark.parametrize("name", cases())
def test_first_and_second_derivatives_by_inputs_and_weights(name):
    layer, given, count = cases()[name]
    key = next(key for key, _ in shaken(layer).named_parameters() if key.endswith("weight") and "embed" not in key)

    def output(weight: torch.Tensor, *inputs: torch.Tensor) -> torch.Tensor:
        return functional_call(layer, {key: weight}, (*inputs, *given[count:]))

    inputs = [tensor.clone().requires_grad_() for tensor in (layer.get_parameter(key).detach(), *given[:count])]
    assert gradcheck(output, inputs)
    assert gradgradcheck(output, inputs)
