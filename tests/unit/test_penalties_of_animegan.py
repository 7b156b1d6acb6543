import pytest
import torch

from organza.penalties.animegan import (
    HAYAO,
    PAPRIKA,
    Prices,
    adversarial,
    colour,
    content,
    gram,
    grey,
    style,
    variation,
    yuv,
)


def test_prices_of_four_kinds_of_images():
    drawn, fake = torch.tensor([[3.0, 1.0], [1.0, 1.0]]), torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    dull, smooth = torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [3.0, 1.0]])
    found = adversarial(drawn, dull, smooth, fake, Prices(2.0, 0.1))
    assert found.tolist() == pytest.approx([2 * (2 + 2 + 1), 0.1 * 5])
    assert adversarial(drawn, dull, smooth, fake).tolist() == pytest.approx([1.2 * 5, 0.8 * 5])
    assert (HAYAO, PAPRIKA) == ((1.2, 0.8), (1.0, 0.005))


def test_gram_is_the_products_of_channels():
    features = torch.randn(2, 3, 4, 5).double()
    found = gram(features)
    for b in range(2):
        for i in range(3):
            for j in range(3):
                product = (features[b, i] * features[b, j]).sum().item() / 60
                assert found[b, i, j].item() == pytest.approx(product, rel=1e-5, abs=1e-7)


def test_style_does_not_care_where_things_are():
    features = torch.randn(2, 3, 4, 6)
    mixed = features.flatten(2)[:, :, torch.randperm(24)].view_as(features)
    assert style(features, mixed).max() < 1e-6
    assert content(features, mixed).min() > 0.1
    assert style(2 * features, features).tolist() == pytest.approx((3 * gram(features).abs().mean((1, 2))).tolist())


def test_yuv_of_known_colours():
    """Of ITU-R BT.601: red, green, blue, white."""
    x = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])[:, :, None, None]
    found = torch.cat(yuv(x), 1)[:, :, 0, 0]
    known = [[0.299, -0.14713, 0.61500], [0.587, -0.28886, -0.51499], [0.114, 0.43600, -0.10001], [1, 0, 0]]
    torch.testing.assert_close(found, torch.tensor(known), atol=3e-4, rtol=0)


def test_colour_is_of_images_from_zero_to_one():
    black, white = -torch.ones(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    assert colour(black, white).tolist() == pytest.approx([1.0, 1.0])
    assert colour(white, white).tolist() == [0.0, 0.0]
    red = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    u, v = -0.14713, 0.61500
    assert colour(red, black[:1]).item() == pytest.approx(0.299 + u**2 / 2 + v**2 / 2, abs=1e-3)


def test_variation_is_half_the_squares_of_steps():
    x = torch.zeros(2, 1, 3, 4)
    x[0] += torch.tensor([0.0, 2.0, 4.0, 6.0])
    x[1] += torch.tensor([0.0, 1.0, 1.0])[:, None]
    assert variation(x).tolist() == pytest.approx([2.0, 0.25])


def test_grey_has_one_colour():
    x = torch.rand(2, 3, 4, 4) * 2 - 1
    found = grey(x)
    assert found.shape == x.shape
    assert torch.equal(found[:, 0], found[:, 1])
    assert torch.equal(found[:, 0], found[:, 2])
    torch.testing.assert_close(grey(found), found)
    with pytest.raises(ValueError, match=r"not for 1 channels; add --data.channels rgb"):
        grey(x[:, :1])


def test_gradients_are_finite_where_nothing_differs():
    x = torch.zeros(1, 3, 6, 6, requires_grad=True)
    (colour(x, torch.zeros(1, 3, 6, 6)) + variation(x) + style(x, torch.zeros(1, 3, 6, 6))).sum().backward()
    assert torch.isfinite(x.grad).all()
