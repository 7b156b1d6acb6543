import pytest
import torch
from torch import nn

from organza.layers.attention import SelfAttention2d, attention_after


def awake(channels=16, gamma=0.7):
    torch.manual_seed(0)
    attention = SelfAttention2d(channels)
    nn.init.constant_(attention.gamma, gamma)
    return attention


def test_it_starts_as_the_identity():
    x = torch.randn(2, 16, 6, 4)
    assert torch.equal(SelfAttention2d(16)(x), x)


def test_widths():
    attention = SelfAttention2d(32)
    shapes = {name: tuple(p.shape[:2]) for name, p in attention.named_parameters() if name != "gamma"}
    assert shapes == {
        "theta.weight": (4, 32), "phi.weight": (4, 32), "g.weight": (16, 32), "o.weight": (32, 16),
    }  # fmt: skip
    assert attention.gamma.shape == ()
    assert SelfAttention2d(4)(torch.randn(1, 4, 4, 4)).shape == (1, 4, 4, 4)  # fewer channels than 8


@pytest.mark.parametrize("size", [(6, 4), (7, 7)])
def test_against_the_formula_pixel_by_pixel(size):
    attention, x = awake(), torch.randn(2, 16, *size)
    theta, phi, g, o = (
        layer.weight[:, :, 0, 0] for layer in (attention.theta, attention.phi, attention.g, attention.o)
    )
    expected = x.clone()
    for i, picture in enumerate(x):
        places = [(a, b) for a in range(0, size[0] - 1, 2) for b in range(0, size[1] - 1, 2)]
        patches = [picture[:, a : a + 2, b : b + 2].flatten(1) for a, b in places]
        keys, values = (torch.stack([(w @ p).amax(1) for p in patches]) for w in (phi, g))
        for a in range(size[0]):
            for b in range(size[1]):
                scores = torch.exp(keys @ (theta @ picture[:, a, b]))
                expected[i, :, a, b] += 0.7 * (o @ (scores @ values / scores.sum()))
    torch.testing.assert_close(attention(x), expected)


def test_second_derivatives():
    attention = awake(8).double()
    x = torch.randn(1, 8, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(attention, (x,))


def test_a_pixel_sees_the_whole_map():
    attention = awake()
    x = torch.randn(1, 16, 8, 8, requires_grad=True)
    (attention(x) - x)[0, :, 0, 0].sum().backward()
    assert (x.grad[0].abs().sum(0).view(4, 2, 4, 2).amax((1, 3)) > 0).all()


@pytest.mark.parametrize(
    ("maps", "side", "chosen"),
    [
        ([(8, 8), (16, 16), (32, 32), (64, 64)], 32, 2),
        ([(14, 14), (28, 28)], 32, 1),
        ([(14, 14), (7, 7), (7, 7)], 16, 0),
        ([(16, 16), (8, 8), (8, 8)], 8, 1),
        ([(12, 8), (24, 16), (48, 32)], 20, 1),
        ([(8, 8), (16, 16)], 0, None),
    ],
)
def test_the_nearest_map_is_chosen(maps, side, chosen):
    after = attention_after(maps, [8] * len(maps), side)
    kinds = [isinstance(module, SelfAttention2d) for module in after]
    assert kinds == [i == chosen for i in range(len(maps))]
    assert all(isinstance(m, (SelfAttention2d, nn.Identity)) for m in after)
