import numpy as np
import pytest
import torch

from organza.augment.wavelets import DELAY, OVERHANG, SYM2, SYM6, bands, doubling, filter_bank, halving, period

KIND = torch.float64, torch.device("cpu")


def test_the_taps_are_pywavelets():
    pywt = pytest.importorskip("pywt")
    assert pywt.Wavelet("sym2").dec_lo == pytest.approx(SYM2, abs=1e-12)
    assert pywt.Wavelet("sym6").dec_lo == pytest.approx(SYM6, abs=1e-12)


def test_doubling_is_pywavelets_synthesis():
    pywt = pytest.importorskip("pywt")
    x = np.random.RandomState(0).rand(9)
    whole = np.concatenate([x, x[-2:0:-1]])  # one period
    expected = np.sqrt(2) * pywt.idwt(whole, None, "sym6", "periodization")[::-1]  # its filter runs backwards
    found = (doubling(9, *KIND).numpy() @ x)[:-1]
    assert min(np.abs(np.roll(expected, shift) - found).max() for shift in range(32)) < 1e-12


@pytest.mark.parametrize("length", [1, 2, 5, 6, 17, 28])
def test_halving_undoes_doubling(length):
    doubled = doubling(length, *KIND)
    assert doubled.shape == (2 * period(length) + 1, length)
    torch.testing.assert_close(doubled[-1], doubled[0])
    entries = torch.arange(2 * length + OVERHANG) % (2 * period(length))
    torch.testing.assert_close(halving(length, *KIND) @ doubled[entries], torch.eye(length, dtype=torch.float64))


def test_a_doubled_ramp_lies_where_the_delay_says():
    line = doubling(40, *KIND) @ torch.arange(40.0, dtype=torch.float64)
    inner = torch.arange(12, 76, dtype=torch.float64)
    torch.testing.assert_close(line[12:76], (inner - DELAY) / 2)


def test_the_bank_splits_the_frequencies():
    bank, omega = filter_bank(), np.linspace(0, np.pi, 200)
    assert bank.shape == (4, 43)
    assert np.allclose(bank, bank[:, ::-1])

    def low(frequency):
        return np.abs(np.exp(-1j * np.outer(frequency, np.arange(4))) @ SYM2) ** 2 / 2

    first, second, third = low(omega), low(2 * omega), low(4 * omega)
    expected = [first * second * third, first * second * (1 - third), first * (1 - second), 1 - first]
    response = np.cos(np.outer(omega, np.arange(43) - 21)) @ bank.T
    assert np.allclose(response.T, expected, atol=1e-9)
    middle = [0, 3 * np.pi / 16, 3 * np.pi / 8, np.pi]
    gains = np.cos(np.outer(middle, np.arange(43) - 21)) @ bank.T
    assert (np.diag(gains) > 0.7).all()


@pytest.mark.parametrize("length", [22, 50])
def test_bands_filter_the_mirrored_axis(length):
    x = np.random.RandomState(0).rand(length)
    expected = [np.convolve(np.pad(x, 21, mode="reflect"), taps, "valid") for taps in filter_bank()]
    assert np.allclose(bands(length, *KIND).numpy() @ x, expected)


@pytest.mark.parametrize("length", [1, 2, 7, 28])
def test_all_bands_together_are_the_image(length):
    torch.testing.assert_close(bands(length, *KIND).sum(0), torch.eye(length, dtype=torch.float64))
