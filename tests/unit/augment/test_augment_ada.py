import math

import numpy as np
import pytest
import torch
from augment_helpers import draws, images

from organza.augment import ada, augmentation
from organza.augment.wavelets import filter_bank

MANY = 4000
PIXELS = images(MANY, 3, 1, 1)


def matrices(act, p=1.0, height=1, width=1):
    return act(torch.zeros(()).expand(MANY, 3, height, width), draws(MANY), p)


def struck(inverses):
    return (inverses != torch.eye(3)).any(2).any(1)


def share(values):
    return values.float().mean().item()


def normal(values, deviation):
    """Mean, deviation and the tails of a normal distribution around 0, within four standard errors."""
    error = 4 / len(values) ** 0.5
    assert abs(values.mean()) < error * deviation
    assert values.std() == pytest.approx(deviation, rel=error)
    assert share(values.abs() < deviation) == pytest.approx(0.683, abs=error / 2)


def uniform(values, low, high):
    assert low <= values.min() < low + 0.01 * (high - low)
    assert high - 0.01 * (high - low) < values.max() <= high
    assert values.mean() == pytest.approx((low + high) / 2, abs=4 * (high - low) / 12**0.5 / len(values) ** 0.5)
    assert values.std() == pytest.approx((high - low) / 12**0.5, rel=0.05)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("act", [ada.scale, ada.aniso, ada.xfrac])
def test_geometry_strikes_with_its_probability(act, p):
    assert share(struck(matrices(act, p))) == pytest.approx(p, abs=0.03)


def test_mirrors_half():
    signs = matrices(ada.xflip)[:, 0, 0]
    assert set(signs.tolist()) == {-1.0, 1.0}
    assert share(signs < 0) == pytest.approx(0.5, abs=0.03)
    assert share(matrices(ada.xflip, 0.4)[:, 0, 0] < 0) == pytest.approx(0.2, abs=0.03)


def test_quarter_turns_are_equally_frequent():
    turns = matrices(ada.rotate90)
    assert set(turns.unique().tolist()) == {-1.0, 0.0, 1.0}
    for cos, sin in ((1, 0), (0, 1), (-1, 0), (0, -1)):
        assert share((turns[:, 0, 0] == cos) & (turns[:, 1, 0] == sin)) == pytest.approx(0.25, abs=0.03)
    assert torch.equal(turns[:, 0, 1], -turns[:, 1, 0])


def test_whole_steps_reach_an_eighth():
    moves = matrices(ada.xint, height=80, width=240)[:, :2, 2]
    assert torch.equal(moves, moves.round())
    uniform(moves[:, 0], -30, 30)
    uniform(moves[:, 1], -10, 10)


def test_scales_are_log_normal():
    s = matrices(ada.scale)
    assert torch.equal(s[:, 0, 0], s[:, 1, 1])
    normal(s[:, 0, 0].log2(), 0.2)
    s = matrices(ada.aniso)
    torch.testing.assert_close(s[:, 0, 0] * s[:, 1, 1], torch.ones(MANY))
    normal(s[:, 1, 1].log2(), 0.2)


@pytest.mark.parametrize("p", [0.0, 0.19, 0.64, 1.0])
def test_both_rotations_together_have_the_probability(p):
    before, after = (struck(matrices(act, p)) for act in (ada.rotate_before, ada.rotate_after))
    assert share(before | after) == pytest.approx(p, abs=0.03)
    assert share(before) == pytest.approx(1 - math.sqrt(1 - p), abs=0.03)
    assert share(after) == pytest.approx(1 - math.sqrt(1 - p), abs=0.03)


def test_rotations_are_uniform_rotations():
    turn = matrices(ada.rotate_after)
    torch.testing.assert_close(turn @ turn.transpose(1, 2), torch.eye(3).expand(MANY, 3, 3))
    uniform(torch.atan2(turn[:, 1, 0], turn[:, 0, 0]), -math.pi, math.pi)


def test_moves_are_normal_in_shares_of_each_side():
    moves = matrices(ada.xfrac, height=8, width=24)[:, :2, 2]
    normal(moves[:, 0], 3)
    normal(moves[:, 1], 1)
    assert abs(np.corrcoef(moves.T)[0, 1]) < 0.06


def colours(word, p=1.0, x=PIXELS):
    """Of each pixel (r, g, b): before and after."""
    return x[..., 0, 0], augmentation((word,))(x, draws(MANY), p)[..., 0, 0]


def test_brightness():
    x, y = colours("brightness")
    shift = y - x
    torch.testing.assert_close(shift[:, 1:], shift[:, :1].expand(-1, 2))
    normal(shift[:, 0], 0.2)
    x, y = colours("brightness", 0.3)
    assert share((x != y).any(1)) == pytest.approx(0.3, abs=0.03)


def test_contrast():
    x, y = colours("contrast")
    factor = (y / x)[:, :1]
    torch.testing.assert_close(factor * x, y)
    normal(factor[:, 0].log2(), 0.5)


def test_lumaflip_reflects_the_grey_part():
    x, y = colours("lumaflip")
    grey = x.mean(1, keepdim=True)
    flipped = (x - 2 * grey - y).abs().amax(1) < 1e-6
    assert share(flipped) == pytest.approx(0.5, abs=0.03)
    torch.testing.assert_close(y[~flipped], x[~flipped])


def test_hue_rotates_about_grey():
    x, y = colours("hue", x=torch.tensor([0.9, -0.2, 0.1]).view(1, 3, 1, 1).expand(MANY, -1, -1, -1))
    torch.testing.assert_close(y.mean(1), x.mean(1))
    torch.testing.assert_close(y.norm(dim=1), x.norm(dim=1))
    first = torch.tensor([2.0, -1, -1]) / 6**0.5
    second = torch.tensor([0, 1.0, -1]) / 2**0.5
    turned = torch.atan2(y @ second, y @ first) - torch.atan2(x @ second, x @ first)
    uniform((turned + math.pi).remainder(2 * math.pi) - math.pi, -math.pi, math.pi)


def test_hue_turns_red_into_green_and_blue():
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(MANY, -1, -1, -1)
    _, y = colours("hue", x=red)
    for pure in torch.eye(3):
        assert (y - pure).abs().amax(1).min() < 0.02


def test_saturation():
    x, y = colours("saturation")
    torch.testing.assert_close(y.mean(1), x.mean(1))
    factor = (y - y.mean(1, keepdim=True)).norm(dim=1) / (x - x.mean(1, keepdim=True)).norm(dim=1)
    normal(factor.log2(), 1.0)


def test_colours_change_one_after_another():
    numbers = draws(MANY)

    def run(*words):
        return augmentation(words)(PIXELS, numbers, 0.7)

    x = PIXELS
    for word in ("brightness", "contrast", "lumaflip", "hue", "saturation"):
        x = augmentation((word,))(x, numbers, 0.7)
    torch.testing.assert_close(run("color-ada"), x, atol=1e-5, rtol=1e-5)
    reverse = run("saturation", "hue", "lumaflip", "contrast", "brightness")
    assert torch.equal(reverse, run("color-ada"))


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_other_than_three_channels(channels):
    x, numbers = images(40, channels, 6, 5), draws(40)
    y = augmentation(("color-ada",))(x, numbers, 1.0)
    if channels == 4:
        assert torch.equal(y[:, 3], x[:, 3])
        torch.testing.assert_close(y[:, :3], augmentation(("color-ada",))(x[:, :3], numbers, 1.0))
        return
    grey = x[:, :1] if channels == 2 else x
    if channels == 2:
        assert torch.equal(y[:, 1], x[:, 1])
    for c in range(grey.shape[1]):
        as_rgb = augmentation(("color-ada",))(grey[:, c : c + 1].expand(-1, 3, -1, -1), numbers, 1.0)
        torch.testing.assert_close(y[:, c], as_rgb.mean(1), atol=1e-5, rtol=1e-5)


def test_filter_is_convolution_with_amplified_bands():
    x, numbers = images(6, 2, 30, 24, dtype=torch.float64), draws(6)
    power = np.array([10, 1, 1, 1]) / 13
    found = augmentation(("filter",))(x, numbers, 0.6).numpy()
    changed = 0
    for i in range(6):
        gains = np.ones(4)
        for band in range(4):
            t = np.ones(4)
            if numbers.uniform(f"augment/filter/{band}/chosen")[i] < 0.6:
                t[band] = 2.0 ** numbers.normal(f"augment/filter/{band}")[i].item()
            gains *= t / np.sqrt((power * t**2).sum())
        changed += not np.allclose(gains, 1)
        expected = np.pad(x[i].numpy(), ((0, 0), (21, 21), (21, 21)), mode="reflect")
        for axis in (1, 2):
            expected = np.apply_along_axis(np.convolve, axis, expected, gains @ filter_bank(), "valid")
        assert np.allclose(found[i], expected, atol=1e-6)
    assert changed >= 4


def test_filter_strikes_each_band_with_the_probability():
    flat = augmentation(("filter",))(torch.ones(MANY, 1, 2, 2), draws(MANY), 0.1)  # any band changes the lowest's gain
    changed = (flat - 1).abs().amax((1, 2, 3)) > 1e-4
    assert share(changed) == pytest.approx(1 - 0.9**4, abs=0.03)


def test_noise():
    added = augmentation(("noise",))(torch.zeros(MANY, 2, 6, 6), draws(MANY), 0.5).flatten(1)
    hit = added.abs().amax(1) > 0
    assert share(hit) == pytest.approx(0.5, abs=0.03)
    deviations = added[hit].square().mean(1).sqrt()
    assert deviations.square().mean().item() == pytest.approx(0.01, rel=0.12)
    assert deviations.mean().item() == pytest.approx(0.1 * math.sqrt(2 / math.pi), rel=0.06)
    ratios = added[hit] / deviations[:, None]
    assert (ratios.T @ ratios / len(ratios) - torch.eye(72)).abs().max() < 0.15


def test_cutout_is_the_papers_rectangle():
    x, numbers = 1 + torch.rand(60, 3, 20, 12), draws(60)
    y = augmentation(("cutout",))(x, numbers, 1.0)
    for i, (cx, cy) in enumerate(numbers.uniform("augment/cutout", 2).tolist()):
        expected = x[i].clone()
        left, right = (max(round((cx + side) * 12), 0) for side in (-0.25, 0.25))
        top, bottom = (max(round((cy + side) * 20), 0) for side in (-0.25, 0.25))
        expected[:, top:bottom, left:right] = 0
        assert torch.equal(y[i], expected)


def test_cutout_hides_as_much_as_it_should():
    y = augmentation(("cutout",))(torch.ones(MANY, 1, 16, 16), draws(MANY), 0.4)
    hidden = (y == 0).flatten(1).float().mean(1)
    assert share(hidden > 0) == pytest.approx(0.4, abs=0.03)
    assert hidden.max() == 0.25
    assert hidden[hidden > 0].mean().item() == pytest.approx((7 / 16) ** 2, rel=0.03)  # the border takes an eighth
