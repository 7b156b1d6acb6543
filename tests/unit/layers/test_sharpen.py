import numpy as np
import torch
from torch.nn import functional as F

from organza.layers.sharpen import filtered, mirrored_around, sharpened


def test_mirrors_as_often_as_needed():
    x = torch.arange(12.0).view(1, 1, 3, 4)
    found = mirrored_around(x, 7)[0, 0].numpy()
    assert np.array_equal(found, np.pad(x[0, 0].numpy(), 7, mode="reflect"))
    assert torch.equal(mirrored_around(torch.ones(1, 1, 1, 1), 2), torch.ones(1, 1, 5, 5))


def test_every_image_has_its_kernel():
    torch.manual_seed(0)
    x, kernels = torch.randn(3, 2, 9, 8), torch.rand(3, 5, 5)
    found = filtered(x, kernels)
    for number in range(3):
        wide = F.pad(x[number, :, None], (2, 2, 2, 2), mode="reflect")
        expected = F.conv2d(wide, kernels[number][None, None])[:, 0]
        torch.testing.assert_close(found[number], expected, rtol=1e-4, atol=1e-5)


def test_a_flat_image_and_faint_noise_stay():
    flat = torch.full((2, 3, 40, 32), 0.3)
    torch.testing.assert_close(sharpened(flat), flat, rtol=0, atol=1e-5)
    torch.manual_seed(0)
    faint = flat + 0.01 * torch.randn_like(flat)  # a level of 255
    torch.testing.assert_close(sharpened(faint), faint, rtol=0, atol=1e-5)


def test_an_edge_gets_steeper_within_the_range():
    """Half of the detail is added where the blurred mask is one: beside the edge."""
    step = torch.full((1, 1, 80, 80), -0.5)
    step[..., 40:] = 0.5
    made = sharpened(step)
    assert made[..., 40, 39].item() < -0.65
    assert made[..., 40, 40].item() > 0.65
    assert made[..., 40, 39].item() > -0.5 - 0.25 - 1e-4  # the detail there is half of the step, 0.5 of it is added
    torch.testing.assert_close(made[..., 40, 0], step[..., 40, 0], rtol=0, atol=1e-2)
    whole = torch.full((1, 1, 80, 80), -1.0)
    whole[..., 40:] = 1.0
    assert sharpened(whole).abs().max() <= 1
