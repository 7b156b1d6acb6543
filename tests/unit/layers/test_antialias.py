import pytest
import torch
from torch.nn import functional as F

from organza.layers.antialias import BlurDown, BlurUp


@pytest.mark.parametrize("size", [(4, 6), (5, 7)])
def test_up_is_bilinear(size):
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    expected = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(BlurUp(3).double()(x), expected)


@pytest.mark.parametrize(("size", "smaller"), [((4, 6), (2, 3)), ((5, 7), (3, 4))])
def test_down_is_a_weighted_mean_of_nine(size, smaller):
    x = torch.randn(1, 2, *size, dtype=torch.float64)
    found = BlurDown(2).double()(x)
    assert found.shape == (1, 2, *smaller)
    at = {-1: 1}  # mirrored
    weights = {-1: 1, 0: 2, 1: 1}
    for row in range(smaller[0]):
        for column in range(smaller[1]):
            total = torch.zeros(2, dtype=torch.float64)
            for i, a in weights.items():
                for j, b in weights.items():
                    r, c = 2 * row + i, 2 * column + j
                    r, c = at.get(r, r), at.get(c, c)
                    r, c = 2 * size[0] - 2 - r if r >= size[0] else r, 2 * size[1] - 2 - c if c >= size[1] else c
                    total += a * b / 16 * x[0, :, r, c]
            torch.testing.assert_close(found[0, :, row, column], total)


def test_filters_are_saved_and_read():
    down, up = BlurDown(3), BlurUp(2)
    assert down.state_dict()["filt"].shape == (3, 1, 3, 3)
    assert up.state_dict()["filt"].shape == (2, 1, 4, 4)
    assert down.filt.sum().item() == pytest.approx(3)
    assert up.filt.sum().item() == pytest.approx(8)
    down.load_state_dict({"filt": torch.zeros(3, 1, 3, 3)})
    assert not down(torch.ones(1, 3, 4, 4)).any()
