import io

import numpy as np
import pytest
import torch
from PIL import Image

from organza.config import ConfigError
from organza.layers.jpeg import jpeg, rounded


def photograph(height=72, width=91, channels=3, seed=0):
    """Soft shapes, edges and a little noise, uint8 [C, H, W]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 40
    layers = [np.sin(3 * x + k) * np.cos(2 * y - k) * 90 + 128 + 40 * ((x + y * (k - 1)) % 1 > 0.5) for k in range(3)]
    image = np.stack(layers)[:channels] + random.normal(0, 4, (channels, height, width))
    return image.clip(0, 255).astype(np.uint8)


def through_pillow(pixels, quality):
    file, image = io.BytesIO(), Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    image.save(file, "JPEG", quality=quality)
    found = np.asarray(Image.open(file))
    return found[None] if found.ndim == 2 else found.transpose(2, 0, 1)


def through_ours(pixels, *qualities):
    x = torch.from_numpy(pixels)[None].repeat(len(qualities), 1, 1, 1) / 127.5 - 1
    return ((jpeg(x, torch.tensor(qualities)) + 1) * 127.5).numpy()


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 95, 100])
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_those_of_libjpeg(quality, channels):
    pixels = photograph(channels=channels)
    ours, theirs = through_ours(pixels, quality)[0], through_pillow(pixels, quality).astype(float)
    apart = np.abs(ours - theirs)
    assert np.quantile(apart, 0.9) <= 1.01
    assert np.quantile(apart, 0.99) <= 4.01  # blocks with a coefficient at a half, which whole numbers round otherwise
    assert apart.max() <= 10.01
    assert apart.mean() < 0.4
    if quality < 95:
        assert np.abs(theirs - pixels).mean() > 2 * apart.mean()  # the codec does more than we miss
    assert np.abs(ours - ours.round()).max() < 1e-3


def test_every_sample_has_its_quality():
    pixels = photograph()
    both = through_ours(pixels, 20, 90)
    assert np.array_equal(both[0], through_ours(pixels, 20)[0])
    assert np.array_equal(both[1], through_ours(pixels, 90)[0])
    assert np.array_equal(through_ours(pixels, 20.9)[0], both[0])


def test_the_best_quality_of_grey_moves_less_than_a_level():
    ramp = np.tile(np.arange(256, dtype=np.uint8), (16, 1))[None]
    assert np.abs(through_ours(ramp, 100)[0] - ramp).max() <= 1.001
    flat = np.full((1, 8, 8), 77, np.uint8)
    assert np.abs(through_ours(flat, 100)[0] - flat).max() < 1e-3


def test_gradients_stay_near_those_of_no_codec():
    torch.manual_seed(0)
    x = (torch.from_numpy(photograph(16, 24))[None] / 127.5 - 1).mul(0.9).requires_grad_()
    jpeg(x, torch.tensor([90])).mul(torch.linspace(-1, 1, 24)).sum().backward()
    assert x.grad.isfinite().all()
    assert (x.grad != 0).float().mean() > 0.9
    slope = torch.linspace(-1, 1, 24).expand_as(x)
    assert torch.corrcoef(torch.stack([x.grad.flatten(), slope.flatten()]))[0, 1] > 0.5
    y = torch.tensor([0.0, 0.3, 0.5, -1.4], requires_grad=True)
    assert rounded(y).tolist() == [0, 0, 1, -1]
    rounded(y).sum().backward()
    torch.testing.assert_close(y.grad, torch.tensor([1.0, 1 - 3 * 0.09, 0.25, 1 - 3 * 0.16]))


def test_other_channels_are_refused():
    with pytest.raises(ConfigError, match="1 or 3 channels, not 4"):
        jpeg(torch.zeros(1, 4, 8, 8), torch.tensor([50]))
