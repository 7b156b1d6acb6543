import pytest
import torch
from torch.nn import functional as F

from organza.augment.edges import edge_smooth, edges


def square(side=24, low=-1.0, high=1.0):
    x = torch.full((1, 3, side, side), low)
    x[:, :, 8:16, 8:16] = high
    return x


def test_the_edges_of_a_square_are_one_pixel_wide():
    found = edges(square())[0, 0]
    assert found.sum(1)[10:14].tolist() == [2] * 4
    assert found.sum(0)[10:14].tolist() == [2] * 4
    assert found[12].nonzero().flatten().tolist() == [7, 15]  # of two equal slopes the first one
    assert not found[:6].any()
    assert not found[18:].any()


@pytest.mark.parametrize(("contrast", "expected"), [(20, False), (30, False), (60, True)])
def test_weak_edges_do_not_count(contrast, expected):
    """A step of s has a slope of 4 s: above 200 it is an edge, between 100 and 200 only beside one."""
    x = square(low=0.0, high=contrast / 127.5)
    assert bool(edges(x).any()) == expected


def test_what_is_connected_with_a_strong_edge_counts():
    x = -torch.ones(1, 1, 8, 40)
    fading = torch.cat([torch.full((20,), 60.0), torch.full((20,), 28.0)]) / 127.5
    x[:, :, 4:] += fading
    found = edges(x)[0, 0]
    assert found[3, 1:18].all()
    assert found[3, 22:39].all()
    x[:, :, 4:, 14:26] = -1.0
    found = edges(x)[0, 0]
    assert found[3, 2:12].all()
    assert not found[:, 18:].any()


def test_diagonal_edges_have_no_holes():
    rows = torch.arange(32)
    x = torch.where(rows[:, None] + rows[None] < 32, -1.0, 1.0)[None, None]
    found = edges(x)[0, 0]
    assert all(found[i].any() for i in range(1, 31))
    assert found.sum() < 80


def test_only_the_neighbourhood_of_edges_is_blurred():
    x = square()
    y = edge_smooth(x)
    near = F.max_pool2d(edges(x).float(), 5, 1, 2) > 0
    assert torch.equal(torch.where(near, 0.0, y), torch.where(near, 0.0, x))
    row = y[0, 0, 12]
    steps = torch.tensor([1.0, 4, 6, 4, 1]).cumsum(0) / 8 - 1
    torch.testing.assert_close(row[6:10], steps[:4])
    assert row[5] == -1
    assert row[11] == 1


def test_flat_images_and_alpha_stay():
    flat = torch.full((2, 3, 12, 12), 0.3)
    assert torch.equal(edge_smooth(flat), flat)
    x = torch.cat([square(), square()[:, :1]], 1)
    y = edge_smooth(x)
    assert torch.equal(y[:, 3], x[:, 3])
    assert not torch.equal(y[:, 0], x[:, 0])
    assert torch.equal(y[:, :3], edge_smooth(x[:, :3]))


def test_every_image_has_its_own_edges():
    noise, flat = torch.rand(1, 3, 16, 16) * 2 - 1, torch.zeros(1, 3, 16, 16)
    together = edge_smooth(torch.cat([noise, flat, square(16)]))
    assert torch.equal(together[:1], edge_smooth(noise))
    assert torch.equal(together[1:2], flat)
