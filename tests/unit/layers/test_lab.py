import pytest
import torch

from organza.layers.lab import grey_of, lab_to_rgb, lightness, rgb_to_lab

# From scikit-image 0.26: rgb2lab of 8-bit colours, lab2rgb * 255 of Lab ones.
COLOURS = [[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 128, 128], [12, 200, 77], [3, 5, 2]]
LABS = [
    [0.0, 0.0, 0.0], [100.0, -0.0025, 0.0047], [53.2406, 80.0923, 67.2028], [87.7351, -86.183, 83.1797],
    [32.2957, 79.1856, -107.8573], [53.585, -0.0015, 0.0028], [70.8157, -66.5435, 48.8732], [1.1949, -0.9402, 0.9512],
]  # fmt: skip
BACK = {
    (50, 0, 0): (118.9137, 118.9127, 118.9178), (50, 30, -20): (153.4748, 100.8965, 153.3661),
    (80, -40, 60): (156.7262, 215.7743, 77.6572), (5, 2, -3): (18.0507, 15.9218, 21.5419),
    (97, -5, 10): (244.751, 248.6444, 226.9),
}  # fmt: skip


def column(colours):
    return torch.tensor(colours, dtype=torch.float64).T[None, :, :, None]


def test_lab_is_that_of_another_library():
    found = rgb_to_lab(column(COLOURS) / 127.5 - 1)
    torch.testing.assert_close(found, column(LABS), rtol=0, atol=2e-4)
    made = (lab_to_rgb(column(list(BACK))) + 1) * 127.5
    torch.testing.assert_close(made, column(list(BACK.values())), rtol=0, atol=2e-3)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-12), (torch.float32, 2e-4)])
def test_there_and_back(dtype, atol):
    torch.manual_seed(0)
    x = torch.rand(2, 3, 5, 4, dtype=dtype) * 2 - 1
    torch.testing.assert_close(lab_to_rgb(rgb_to_lab(x)), x, rtol=0, atol=atol)
    grey = torch.cat([x[:, :1], torch.full_like(x[:, :1], -1), torch.full_like(x[:, :1], -0.999)])
    torch.testing.assert_close(grey_of(lightness(grey)), grey, rtol=0, atol=atol)
    torch.testing.assert_close(rgb_to_lab(grey.expand(-1, 3, -1, -1))[:, :1], lightness(grey), rtol=0, atol=100 * atol)


def test_gradients_are_those_of_differences():
    torch.manual_seed(0)
    x = torch.cat([torch.rand(1, 3, 2, 2).double() * 1.8 - 0.9, torch.full((1, 3, 2, 2), -0.99).double()])
    assert torch.autograd.gradcheck(lambda y: lab_to_rgb(rgb_to_lab(y) + 1), x.requires_grad_())
    black = torch.full((1, 3, 1, 1), -1.0, requires_grad=True)
    lab_to_rgb(rgb_to_lab(black)).sum().backward()
    assert black.grad.isfinite().all()
    torch.testing.assert_close(black.grad, torch.ones_like(black), rtol=1e-3, atol=1e-3)


def test_autocast_changes_nothing():
    torch.manual_seed(0)
    x = torch.rand(1, 3, 4, 4) * 2 - 1
    with torch.autocast("cpu", torch.bfloat16):
        found = lab_to_rgb(rgb_to_lab(x))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, x, rtol=0, atol=2e-4)
