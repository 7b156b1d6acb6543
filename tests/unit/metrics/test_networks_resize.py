import numpy as np
import pytest
import torch
from PIL import Image

from organza.config import ConfigError
from organza.data import open_dataset
from organza.metrics.networks import resize

SHAPES = [(32, 32, 299), (8, 31, 20), (64, 48, 17), (20, 20, 20), (1, 2, 5), (400, 300, 299)]


def images(height: int, width: int, channels: int = 3, seed: int = 0) -> torch.Tensor:
    drawn = np.random.RandomState(seed).randint(0, 256, (2, channels, height, width))
    return torch.from_numpy(drawn.astype(np.uint8))


def straight_tf1(image: np.ndarray, size: int) -> np.ndarray:
    """One channel, pixel by pixel."""
    height, width = image.shape
    made = np.empty((size, size))
    for i in range(size):
        for j in range(size):
            y, x = i * (height / size), j * (width / size)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            down, across = y - top, x - left
            above = (1 - across) * image[top, left] + across * image[top, right]
            below = (1 - across) * image[bottom, left] + across * image[bottom, right]
            made[i, j] = (1 - down) * above + down * below
    return made


@pytest.mark.parametrize(("height", "width", "size"), [s for s in SHAPES if s[2] < 30] + [(32, 16, 61)])
def test_tf1_bilinear_is_the_straight_line_formula(height, width, size):
    given = images(height, width)
    made = resize.tf1_bilinear(given.float(), size)
    for b in range(2):
        for c in range(3):
            np.testing.assert_allclose(made[b, c], straight_tf1(given[b, c].double().numpy(), size), atol=2e-3)


def test_tf1_bilinear_does_not_look_from_the_middle_of_pixels():
    given = torch.arange(4.0).view(1, 1, 1, 4)
    assert resize.tf1_bilinear(given, 8)[0, 0, 0].tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3]
    assert resize.tf1_bilinear(given, 2)[0, 0, 0].tolist() == [0, 2]  # and does not average
    half = torch.nn.functional.interpolate(given, (8, 8), mode="bilinear", align_corners=False)
    assert half[0, 0, 0, 1] == pytest.approx(0.25)


@pytest.mark.parametrize(("height", "width", "size"), [s for s in SHAPES if s[0] > 1])
def test_bicubic_is_that_of_pillow_in_mode_f(height, width, size):
    given = images(height, width)
    made = resize.bicubic(given.float(), size)
    for c in range(3):
        picture = Image.fromarray(given[0, c].float().numpy())
        wanted = np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC)).clip(0, 255)
        assert np.abs(made[0, c].numpy() - wanted).max() < 0.01  # of 255, of white noise; rounding is 0.5
    assert made.min() >= 0
    assert made.max() <= 255


@pytest.mark.parametrize("size", [299, 30])
def test_bicubic_of_real_images_is_within_a_thousandth(size):
    given = open_dataset("emoji").images[:4].float()
    made = resize.bicubic(given, size)
    for number in range(4):
        picture = Image.fromarray(given[number, 0].numpy())
        wanted = np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC)).clip(0, 255)
        assert np.abs(made[number, 0].numpy() - wanted).max() < 1.1e-3


@pytest.mark.parametrize("sides", [(97, 64), (32, 32), (300, 280)])
def test_the_bytes_of_dinov2_are_those_of_pillow(sides):
    given = images(*sides)
    made = resize.bytes_imagenet(given)
    mean, deviation = (torch.tensor(v)[:, None, None] for v in (resize.MEAN, resize.DEVIATION))
    levels = (made[0] * deviation + mean) * 255
    picture = Image.fromarray(given[0].permute(1, 2, 0).numpy()).resize((224, 224), Image.Resampling.BICUBIC)
    wanted = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float()
    assert (levels - levels.round()).abs().max() < 1e-3
    assert (levels - wanted).abs().max() < 2.01  # where values were half-way
    assert ((levels - wanted).abs() > 0.5).float().mean() < 0.005


@pytest.mark.parametrize(
    ("prepare", "size", "low", "high"),
    [
        (resize.legacy, 299, -1, 127 / 128),
        (resize.clean, 299, -1, 127 / 128),
        (resize.tf1_imagenet, 224, -0.485 / 0.229, (1 - 0.406) / 0.225),
        (resize.bytes_imagenet, 224, -0.485 / 0.229, (1 - 0.406) / 0.225),
        (resize.centred, 224, -1, 1),
    ],
)
def test_ranges_grey_and_alpha(prepare, size, low, high):
    ends = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    ends[..., 2:] = 255
    made = prepare(ends)
    assert made.shape == (1, 3, size, size)
    assert made.dtype == torch.float32
    assert made.min() == pytest.approx(low, abs=1e-5)
    assert made.max() == pytest.approx(high, abs=1e-5)
    grey = images(9, 7, 1)
    assert torch.equal(prepare(grey), prepare(grey.repeat(1, 3, 1, 1)))
    with pytest.raises(ConfigError, match=r"cannot see alpha.*take the network general"):
        prepare(images(8, 8, 4))
    with pytest.raises(ConfigError, match="images have 2 channels"):
        prepare(images(8, 8, 2))


def test_the_two_protocols_of_fid_differ():
    given = images(32, 32)
    assert (resize.legacy(given) - resize.clean(given)).abs().mean() > 0.05
    same = images(299, 299)
    assert torch.allclose(resize.legacy(same), resize.clean(same), atol=1e-5)
