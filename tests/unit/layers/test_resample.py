import numpy as np
import pytest
import torch
from scipy.signal import convolve2d
from torch.autograd import gradcheck, gradgradcheck

from organza.layers.resample import downsample, upsample

FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(6, 10), (8, 2), (2, 2)])
def test_downsample_is_the_filter_between_zeros_then_every_second_pixel(size):
    x = images(2, 3, *size)
    expected = np.stack([[convolve2d(c, FILTER)[2:-1:2, 2:-1:2] for c in sample] for sample in x.numpy()])
    np.testing.assert_allclose(downsample(x).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("size", [(3, 5), (4, 1), (7, 7)])
def test_upsample_is_the_filter_over_pixels_among_zeros(size):
    x = images(2, 3, *size)
    spread = np.zeros((2, 3, 2 * size[0], 2 * size[1]))
    spread[..., ::2, ::2] = x.numpy()
    expected = np.stack([[convolve2d(c, 4 * FILTER)[1:-2, 1:-2] for c in sample] for sample in spread])
    np.testing.assert_allclose(upsample(x).numpy(), expected, atol=1e-12)


def test_a_constant_stays_constant_away_from_the_border():
    x = torch.ones(1, 2, 8, 8)
    torch.testing.assert_close(upsample(x)[..., 1:-1, 1:-1], torch.ones(1, 2, 14, 14))
    torch.testing.assert_close(downsample(x)[..., 1:-1, 1:-1], torch.ones(1, 2, 2, 2))


def test_upsample_is_bilinear_away_from_the_border():
    x = images(1, 2, 6, 6)
    bilinear = torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(upsample(x)[..., 1:-1, 1:-1], bilinear[..., 1:-1, 1:-1])


def test_each_is_the_transpose_of_the_other_up_to_the_gain():
    x, y = images(1, 2, 8, 6), images(1, 2, 4, 3)
    torch.testing.assert_close((downsample(x) * y).sum(), (x * upsample(y)).sum() / 4)


@pytest.mark.parametrize("resample", [downsample, upsample])
def test_first_and_second_derivatives(resample):
    x = images(1, 2, 4, 4).requires_grad_()
    assert gradcheck(resample, x)
    assert gradgradcheck(lambda v: resample(v).square(), x)


@pytest.mark.parametrize("resample", [downsample, upsample])
def test_follows_autocast_and_memory_format(resample):
    x = torch.randn(2, 4, 8, 8).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        y = resample(x)
    assert y.dtype == torch.bfloat16
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y.float(), resample(x), atol=0.05, rtol=0.02)
