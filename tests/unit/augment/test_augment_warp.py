from functools import reduce

import numpy as np
import pytest
import torch
from augment_helpers import draws, images
from scipy import ndimage

from organza.augment import AUGMENTATIONS, augmentation
from organza.augment.warp import blitted, mirrored, warped


def matrix(*rows, count=1, dtype=torch.float32):
    return torch.tensor([*rows, (0, 0, 1)], dtype=dtype).expand(count, 3, 3)


def moved(x, y, **options):
    """The inverse of a move to the right by x and down by y."""
    return matrix((1, 0, -x), (0, 1, -y), **options)


def test_mirrored_is_numpys_reflect():
    for length in (2, 3, 7):
        line = np.pad(np.arange(length), 20, mode="reflect")
        assert mirrored(torch.arange(-20, length + 20), length).tolist() == line.tolist()
    assert mirrored(torch.arange(-3, 3), 1).tolist() == [0] * 6


@pytest.mark.parametrize("size", [(8, 8), (7, 7), (6, 9)])
def test_mirroring_is_exact(size):
    x = images(2, 3, *size)
    flip = matrix((-1, 0, 0), (0, 1, 0), count=2)
    assert torch.equal(blitted(x, [flip]), x.flip(3))
    half_turn = matrix((-1, 0, 0), (0, -1, 0), count=2)
    assert torch.equal(blitted(x, [half_turn]), x.flip(2, 3))


@pytest.mark.parametrize("side", [7, 8])
def test_quarter_turns_are_exact(side):
    x = images(1, 2, side, side)
    quarter = matrix((0, -1, 0), (1, 0, 0))
    assert torch.equal(blitted(x, [quarter]), x.rot90(1, (2, 3)))  # the top shows the right
    assert torch.equal(blitted(x, [quarter] * 3), x.rot90(3, (2, 3)))


@pytest.mark.parametrize("size", [(6, 10), (7, 10)])
def test_a_quarter_turn_of_a_wide_image_shows_its_middle(size):
    x = images(1, 1, *size)
    turned = blitted(x, [matrix((0, -1, 0), (1, 0, 0))])
    assert turned.shape == x.shape
    middle = turned[..., 2:8] if size[0] == 6 else turned[..., 1:8]
    whole = x.rot90(1, (2, 3))  # [10, H]
    start = [i for i in range(5) if torch.equal(whole[:, :, i : i + size[0]], middle)]
    assert len(start) == 1
    assert start[0] in (1, 2)


@pytest.mark.parametrize(("x", "y"), [(3, -2), (-9, 0), (1, 70)])
def test_whole_steps_are_exact_and_mirror_the_rest(x, y):
    before = images(2, 1, 9, 6)
    padded = np.pad(before.numpy(), ((0, 0), (0, 0), (100, 100), (100, 100)), mode="reflect")
    expected = torch.from_numpy(padded[:, :, 100 - y : 109 - y, 100 - x : 106 - x])
    step = moved(x, y, count=2)
    assert torch.equal(blitted(before, [step]), expected)
    torch.testing.assert_close(warped(before, [step]), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", [(2, 1, 28, 28), (1, 3, 48, 31), (1, 2, 1, 5), (1, 4, 2, 2), (1, 5, 3, 130)])
def test_no_change_is_the_identity(shape):
    x = images(*shape)
    torch.testing.assert_close(warped(x, [moved(0, 0, count=shape[0])]), x, atol=5e-5, rtol=0)
    assert torch.equal(blitted(x, [moved(0, 0, count=shape[0])]), x)


def smooth(height, width):
    noise = np.random.RandomState(0).randn(2, height, width)
    blurred = np.stack([ndimage.gaussian_filter(plane, 2.5, mode="mirror") for plane in noise])
    return blurred / np.abs(blurred).max()


@pytest.mark.parametrize("size", [(32, 32), (40, 28)])
def test_all_geometry_together_is_scipys(size):
    names = ("xint", "scale", "rotate-before", "aniso", "rotate-after", "xfrac")
    plane, count = smooth(*size), 24
    x, numbers = torch.from_numpy(plane).expand(count, -1, -1, -1), draws(count)
    inverses = [AUGMENTATIONS[name].act(x, numbers, 0.8).numpy() for name in names]
    found = augmentation(("xfrac", "aniso", "xint", "rotate", "scale"))(x, numbers, 0.8)
    centre = (np.array(size) - 1) / 2
    worst, moves = [], 0
    for i in range(count):
        forward = reduce(lambda total, new: np.linalg.inv(new[i]) @ total, inverses, np.eye(3))  # G <- new G
        back = np.linalg.inv(forward)[[1, 0]][:, [1, 0, 2]]  # (row, column) for (x, y)
        offset = back[:, :2] @ -centre + back[:, 2] + centre
        for channel in range(2):
            expected = ndimage.affine_transform(plane[channel], back[:, :2], offset, order=5, mode="mirror")
            worst.append(np.abs(expected - found[i, channel].numpy()).max())
        moves += not np.allclose(forward, np.eye(3))
    assert moves >= 20
    assert max(worst) < 0.05
    assert np.mean(worst) < 0.02


def test_fine_detail_survives_half_a_pixel_better_than_bilinear_lookup():
    """What the doubling is for: white noise keeps most of its energy when it moves by half a pixel."""
    x = images(1, 1, 64, 64, dtype=torch.float64)
    half = matrix((1, 0, -0.5), (0, 1, 0), dtype=torch.float64)
    there = warped(x, [half])
    bilinear = (x + x.roll(1, 3)) / 2
    energy = [(image[..., 8:-8].square().mean() / x[..., 8:-8].square().mean()).item() for image in (there, bilinear)]
    assert energy[1] < 0.6
    assert 0.7 < energy[0] < 1.0


@pytest.mark.parametrize("execute", [warped, blitted])
def test_derivatives_up_to_the_third(execute):
    x = images(2, 2, 4, 3, dtype=torch.float64).requires_grad_()
    turn = matrix((0.8, -0.6, 0.3), (0.6, 0.8, -0.7), count=2, dtype=torch.float64)

    def bent(x):  # not linear: the second derivative is there
        return execute(x, [turn]).pow(3)

    assert torch.autograd.gradcheck(bent, (x,))
    assert torch.autograd.gradgradcheck(bent, (x,))

    def slope(x):
        return torch.autograd.grad(bent(x).sum(), x, create_graph=True)

    assert torch.autograd.gradgradcheck(slope, (x,))


def test_a_matrix_first_used_without_gradients_serves_with_them():
    x = images(1, 1, 11, 13)  # a size that no other test has
    with torch.inference_mode():
        warped(x, [moved(0, 0)])
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(warped(x, [moved(1, 0)]).sum(), x)
    assert gradient.abs().sum() > 0
