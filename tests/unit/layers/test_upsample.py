"""The fused upsampling convolution equals the two operations that it stands for, with all its derivatives."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from organza.layers.upsample import UpsampleConv2d


@pytest.mark.parametrize(("height", "width"), [(4, 4), (7, 5), (1, 3)])
def test_equals_nearest_upsampling_and_convolution(height: int, width: int) -> None:
    torch.manual_seed(0)
    layer = UpsampleConv2d(5, 7).double()
    x = torch.randn(2, 5, height, width, dtype=torch.double)
    expected = F.conv2d(F.interpolate(x, scale_factor=2), layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)


def test_first_and_second_derivatives() -> None:
    torch.manual_seed(0)
    layer = UpsampleConv2d(2, 3).double()
    x = torch.randn(1, 2, 3, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))
    assert torch.autograd.gradgradcheck(layer, (x,))


def test_weight_gradient_is_that_of_the_two_operations() -> None:
    torch.manual_seed(0)
    layer, x = UpsampleConv2d(2, 3).double(), torch.randn(2, 2, 4, 4, dtype=torch.double)
    mine = torch.autograd.grad(layer(x).square().sum(), layer.weight)[0]
    plain = F.conv2d(F.interpolate(x, scale_factor=2), layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(mine, torch.autograd.grad(plain.square().sum(), layer.weight)[0])
