import pytest
import torch
from augment_helpers import draws, images

from organza.augment import augmentation


def test_color_changes_one_after_another():
    x, numbers = images(50, 3, 6, 5), draws(50)
    found = augmentation(("color",))(x, numbers, 1.0)
    settings = numbers.uniform("augment/color", 3)
    for i, (brightness, saturation, contrast) in enumerate(settings.tolist()):
        y = x[i] + brightness - 0.5
        y = (y - y.mean(0)) * 2 * saturation + y.mean(0)
        y = (y - y.mean()) * (contrast + 0.5) + y.mean()
        torch.testing.assert_close(found[i], y, atol=1e-5, rtol=1e-5)


def test_color_leaves_alpha():
    x = images(9, 4, 6, 5)
    y = augmentation(("color",))(x, draws(9), 1.0)
    assert torch.equal(y[:, 3], x[:, 3])
    assert ((y - x)[:, :3].abs().amax((1, 2, 3)) > 0.01).all()


def test_translation_moves_by_at_most_an_eighth_and_fills_with_zeros():
    x = 1 + torch.rand(400, 2, 16, 40)
    y = augmentation(("translation",))(x, draws(400), 1.0)
    seen = set()
    for before, after in zip(x, y, strict=True):
        padded = torch.nn.functional.pad(before, (5, 5, 2, 2))
        moves = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-5, 6)
            if torch.equal(padded[:, 2 - down : 18 - down, 5 - right : 45 - right], after)
        ]
        assert len(moves) == 1
        seen.add(moves[0])
    assert len(seen) == 55  # every one of 5 x 11


@pytest.mark.parametrize("size", [(16, 12), (15, 13)])
@pytest.mark.parametrize(("word", "share"), [("cutout-half", 1 / 2), ("cutout-fifth", 1 / 5)])
def test_cutout_hides_its_share_of_each_side(size, word, share):
    y = augmentation((word,))(torch.ones(3000, 1, *size), draws(3000), 1.0)
    hidden = y[:, 0] == 0
    for axis, length in ((2, size[0]), (1, size[1])):
        part = int(length * share + 0.5)
        starts = [centre - part // 2 for centre in range(length + 1 - part % 2)]
        expected = {tuple(start <= i < start + part for i in range(length)) for start in starts}
        assert {tuple(line) for line in hidden.any(axis).tolist()} == expected
    rows, columns = hidden.any(2), hidden.any(1)
    assert torch.equal(hidden, rows[:, :, None] & columns[:, None])  # a rectangle


@pytest.mark.parametrize("word", ["color", "translation", "cutout-half", "cutout-fifth"])
@pytest.mark.parametrize("p", [0.0, 0.3])
def test_they_strike_with_their_probability(word, p):
    x = images(3000, 3, 9, 9)
    changed = (augmentation((word,))(x, draws(3000), p) != x).flatten(1).any(1).float().mean().item()
    stays = 1 / 9 if word == "translation" else 0.0  # one of 3 x 3 moves is none
    assert changed == pytest.approx(p * (1 - stays), abs=0.03)
