import pytest
import torch
from torch.nn import functional as F

from organza.layers.equalized import EqualizedConv2d, EqualizedLinear, pixel_norm


def test_linear_runs_with_hes_constant_and_its_own_rate():
    torch.manual_seed(0)
    layer = EqualizedLinear(500, 300, gain=2**0.5, rate=0.01, start=1.0)
    assert layer.weight.std().item() == pytest.approx(100, rel=0.01)
    assert torch.equal(layer.bias, torch.full((300,), 100.0))
    x = torch.randn(4, 500)
    expected = x @ layer.weight.T * 2**0.5 * 0.01 / 500**0.5 + 1
    torch.testing.assert_close(layer(x), expected)
    assert layer(torch.randn(200, 500)).sub(1).std().item() == pytest.approx(2**0.5, rel=0.05)


def test_convolution_runs_with_hes_constant():
    torch.manual_seed(0)
    layer = EqualizedConv2d(40, 30, 3, gain=2**0.5)
    assert layer.weight.std().item() == pytest.approx(1, rel=0.05)
    assert not layer.bias.any()
    x = torch.randn(2, 40, 6, 5)
    expected = F.conv2d(x, layer.weight * (2 / 360) ** 0.5, padding=1)
    torch.testing.assert_close(layer(x), expected)
    assert EqualizedConv2d(40, 30, 1, bias=False).scale == 40**-0.5
    assert EqualizedConv2d(40, 30, 1, bias=False).bias is None


def test_adam_changes_all_layers_at_the_same_relative_speed():
    changes = []
    for inputs in (4, 1024):
        torch.manual_seed(0)
        layer, x = EqualizedLinear(inputs, 64, bias=False), torch.randn(8, inputs)
        before = layer(x).detach()
        optimizer = torch.optim.Adam(layer.parameters(), 0.01)
        layer(x).square().sum().backward()
        optimizer.step()
        weight = (layer.weight * layer.scale).detach()
        changes.append(0.01 * layer.scale / weight.std().item())  # Adam's first step is its rate, for every weight
        assert not torch.equal(layer(x), before)
    assert changes[0] == pytest.approx(changes[1], rel=0.15)
    assert changes[0] == pytest.approx(0.01, rel=0.15)


@pytest.mark.parametrize("shape", [(3, 16), (3, 16, 4, 5)])
def test_pixel_norm_makes_the_mean_square_one(shape):
    torch.manual_seed(0)
    x = 7 * torch.randn(shape)
    normed = pixel_norm(x)
    torch.testing.assert_close(normed.square().mean(1), torch.ones_like(normed[:, 0]))
    torch.testing.assert_close(normed / normed.norm(dim=1, keepdim=True), x / x.norm(dim=1, keepdim=True))
    assert torch.equal(pixel_norm(torch.zeros(shape)), torch.zeros(shape))
    assert pixel_norm(x.bfloat16()).dtype == torch.bfloat16
    in_double = pixel_norm(x.double()).square().mean(1)
    torch.testing.assert_close(in_double, torch.ones_like(in_double), rtol=0, atol=1e-8)
