"""Filters against SciPy's, the filtered nonlinearity against zeros put in by hand, and their derivatives."""

import math

import numpy as np
import pytest
import scipy.signal
import scipy.special
import style_reference as reference
import torch
from style_reference import random
from torch.autograd import gradcheck, gradgradcheck

from organza.layers import alias_free
from organza.layers.alias_free import filtered_leaky_relu, kaiser_beta, low_pass, padding, radial_low_pass
from organza.layers.resample import BLUR, TAPS, blurred, smooth

ROOT2 = math.sqrt(2)
DESIGNS = [(12, 2.0, 12.3, 32.0), (24, 16.0, 10.0, 128.0), (6, 100.0, 300.0, 1024.0), (12, 512.0, 252.0, 2048.0)]


@pytest.mark.parametrize(("taps", "cutoff", "width", "rate"), DESIGNS)
def test_low_pass_is_scipys(taps, cutoff, width, rate):
    expected = scipy.signal.firwin(taps, cutoff=cutoff, width=width, fs=rate)
    np.testing.assert_allclose(low_pass(taps, cutoff, width, rate), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize(("taps", "width"), [(12, 0.05), (12, 0.3), (12, 0.6), (64, 0.9), (4, 0.01)])
def test_the_window_is_scipys(taps, width):
    expected = scipy.signal.kaiser_beta(scipy.signal.kaiser_atten(taps, width))
    assert kaiser_beta(taps, width * 50, 100.0) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("taps", "cutoff", "width", "rate"), DESIGNS)
def test_round_low_pass_is_a_windowed_jinc(taps, cutoff, width, rate):
    places = (np.arange(taps) - (taps - 1) / 2) / rate
    radius = np.hypot(places[:, None], places[None])
    jinc = scipy.special.j1(2 * cutoff * np.pi * radius) / (np.pi * radius)
    window = np.kaiser(taps, scipy.signal.kaiser_beta(scipy.signal.kaiser_atten(taps, width / (rate / 2))))
    expected = jinc * np.outer(window, window)
    np.testing.assert_allclose(radial_low_pass(taps, cutoff, width, rate), expected / expected.sum(), atol=1e-7)


def response(filter: torch.Tensor, angle: float, frequency: float) -> float:
    """How much of a wave of so many cycles a sample in this direction passes."""
    kernel = filter if filter.dim() == 2 else torch.outer(filter, filter)
    places = torch.arange(len(kernel)) - (len(kernel) - 1) / 2
    along = places[:, None] * math.sin(angle) + places[None] * math.cos(angle)
    return float((kernel * torch.cos(2 * math.pi * frequency * along)).sum())


def test_the_round_filter_alone_is_alike_in_all_directions():
    design = (24, 4.0, 4.0, 32.0)
    for filter, spread in ((radial_low_pass(*design), (0, 0.02)), (low_pass(*design), (0.2, 0.5))):
        found = [response(filter, math.pi * i / 16, 4.0 / 32) for i in range(9)]
        assert spread[0] <= max(found) - min(found) <= spread[1]
        assert 0.4 < min(found) < 0.6  # at the cutoff
        assert response(filter, 0.3, 0.0) == pytest.approx(1)
        assert abs(response(filter, 0.0, 9.0 / 32)) < 0.01


def test_no_filter_for_one_tap():
    assert low_pass(1, 2.0, 3.0, 16.0) is radial_low_pass(1, 2.0, 3.0, 16.0) is None


@pytest.mark.parametrize(
    ("sizes", "kernel", "up", "down", "expected"),
    [
        ((36, 36), 3, 2, 2, (9, 8)),
        ((36, 52), 3, 4, 2, (-6, -9)),
        ((1044, 1024), 3, 2, 2, (-11, -12)),
        ((1024, 1024), 1, 1, 1, (0, 0)),
        ((36, 36), 1, 2, 2, (11, 10)),
        ((36, 52), 1, 4, 2, (-2, -5)),
        ((1044, 1024), 1, 2, 2, (-9, -10)),
    ],
)
def test_padding_of_the_published_networks(sizes, kernel, up, down, expected):
    taps = [6 * step if step > 1 else 1 for step in (up, down)]
    assert padding(*sizes, kernel, up, down, *taps) == expected


CASES = [
    (2, 2, 12, 12, False, (9, 8), (9, 8)),
    (4, 2, 24, 12, False, (2, 1), (-2, -3)),
    (2, 2, 12, 12, True, (11, 10), (3, 4)),
    (1, 1, 1, 1, False, (0, 0), (0, 0)),
    (2, 1, 12, 1, False, (6, 5), (6, 5)),
    (1, 2, 1, 12, False, (5, 5), (6, 6)),
]


def layer(up, down, up_taps, down_taps, radial):
    enlarge = low_pass(up_taps, 2.0, 1.5, 8.0 * up)
    shrink = (radial_low_pass if radial else low_pass)(down_taps, 2.0, 1.5, 8.0 * down)
    return tuple(None if f is None else f.double() for f in (enlarge, shrink))


@pytest.mark.parametrize("small", [0, 192])  # convolutions, and products with matrices
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("slope", "gain", "clamp"), [(0.2, ROOT2, None), (0.2, ROOT2, 0.4), (1.0, 1.0, 0.5)])
def test_filtered_nonlinearity(case, slope, gain, clamp, small, monkeypatch):
    monkeypatch.setattr(alias_free, "SMALL", small)
    up, down, *design, rows, columns = case
    enlarge, shrink = layer(up, down, *design)
    x, bias = random(2, 3, 14, 12), random(3, seed=1)
    found = filtered_leaky_relu(
        x, bias, enlarge, shrink, up, down, (rows, columns), slope=slope, gain=gain, clamp=clamp
    )  # fmt: skip
    expected = reference.filtered(x, bias, enlarge, shrink, up, down, (rows, columns), slope, gain, clamp)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("small", [0, 192])
@pytest.mark.parametrize("case", CASES[:3])
def test_first_and_second_derivatives(case, small, monkeypatch):
    monkeypatch.setattr(alias_free, "SMALL", small)
    up, down, *design, rows, columns = case
    enlarge, shrink = layer(up, down, *design)

    def output(x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return filtered_leaky_relu(x, bias, enlarge, shrink, up, down, (rows, columns), gain=ROOT2)

    inputs = random(1, 1, 9, 11).requires_grad_(), random(1, seed=1).requires_grad_()
    assert gradcheck(output, inputs)
    assert gradgradcheck(output, inputs)


def test_a_wave_below_the_cutoff_passes_and_a_finer_one_does_not():
    """Through the enlarging and the shrinking filter alone, away from the border."""
    rate, cutoff, half = 32.0, 8.0, 6.0
    filter = low_pass(24, cutoff, 2 * half, 2 * rate).double()
    places = torch.arange(64, dtype=torch.float64) / rate
    pads = (padding(64, 64, 1, 2, 2, 24, 24),) * 2
    for frequency, low, high in ((3.0, 0.98, 1.02), (15.5, 0.0, 0.02)):
        x = (2 * math.pi * frequency * places).sin().expand(1, 1, 64, 64).contiguous()
        y = filtered_leaky_relu(x, torch.zeros(1).double(), filter, filter, 2, 2, pads, slope=1.0)
        size = y[..., 16:-16, 16:-16].std() / x[..., 16:-16, 16:-16].std()
        assert low <= size <= high, frequency
        if low:
            torch.testing.assert_close(y[..., 16:-16, 16:-16], x[..., 16:-16, 16:-16], rtol=0, atol=0.02)


# What does not depend on the grid: the low-pass filters of `organza.layers.resample`


RESAMPLED = {
    "blur": (lambda x: smooth(x, BLUR, padding=1), lambda x: reference.upfirdn(x, BLUR, pad=reference.square(1, 1))),
    "wide": (lambda x: smooth(x, TAPS, padding=2), lambda x: reference.upfirdn(x, TAPS, pad=reference.square(2, 2))),
    "down": (lambda x: smooth(x, TAPS, down=2, padding=1), reference.fir_down),
    "up": (lambda x: smooth(x, TAPS, up=2, padding=1, gain=4.0), reference.fir_up),
}


@pytest.mark.parametrize("name", RESAMPLED)
def test_resampling_is_upfirdn(name):
    x = random(2, 3, 6, 4)
    ours, theirs = RESAMPLED[name]
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-6, atol=1e-7)  # filters are float32
    x = random(1, 1, 4, 4).requires_grad_()
    assert gradcheck(ours, x)
    assert gradgradcheck(lambda v: ours(v).square(), x)


def test_a_gaussian_blur():
    x = random(1, 2, 15, 13)
    found = blurred(x, 1.5)
    taps = np.exp(-0.5 * (np.arange(-4, 5) / 1.5) ** 2)
    expected = np.stack([scipy.signal.convolve2d(c, np.outer(taps, taps) / taps.sum() ** 2, "same") for c in x[0]])
    np.testing.assert_allclose(found[0], expected, atol=1e-6)
    assert torch.equal(blurred(x, 0.3), x)
    small = random(1, 1, 4, 4).requires_grad_()
    assert gradgradcheck(lambda v: blurred(v, 0.7).square(), small)
