import numpy as np
import pytest
import torch
from data_helpers import pixels
from PIL import Image

from organza.config import ConfigError
from organza.data import ImageStore, open_dataset
from organza.data.pixels import fit, recolour, widen


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": "centre"}, "crop is 'centre'; did you mean 'center'"),
        ({"channels": "gray"}, "channels is 'gray'; did you mean 'grey'"),
        ({"crop": "center"}, "no resolution says what to cut to"),
        ({"resolution": 0}, "resolution is 0; it takes one side or"),
        ({"resolution": (4, 4, 4)}, "it takes one side or"),
        ({"resolution": True}, "resolution is True"),
        ({"resolution": 99_999}, "each from 1 to 16384"),
        ({"resolution": "64"}, "it takes one side or"),
    ],
)
def test_wrong_options_say_what_is_allowed(options, message):
    with pytest.raises(ConfigError, match=message):
        open_dataset(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), **options)


@pytest.mark.parametrize("options", [{"resolution": 8}, {"channels": "rgb"}])
def test_points_take_no_preparation(options):
    with pytest.raises(ConfigError, match="ring holds points, not images; leave out"):
        open_dataset("ring", **options)


def test_nothing_asked_gives_the_same_store():
    store = open_dataset("mnist", split="test")
    assert open_dataset(store) is store
    assert open_dataset(store, resolution=28, channels="grey").fingerprint == store.fingerprint


def test_preparing_a_store_keeps_the_rest_and_changes_the_fingerprint():
    images = torch.from_numpy(np.stack([pixels(i).transpose(2, 0, 1) for i in range(3)]))
    store = ImageStore("toy", images, torch.tensor([0, 1, 0]), ("a", "b"), ("x", "y", "z"), "mine", "0")
    grey = open_dataset(store, channels="grey", resolution=(4, 6))
    assert grey.shape == (1, 4, 6)
    assert (grey.labels is store.labels, grey.classes, grey.captions, grey.licence) == (
        True, ("a", "b"), ("x", "y", "z"), "mine",
    )  # fmt: skip
    assert grey.fingerprint not in ("0", "")


def test_resizing_is_pillows_lanczos():
    array = pixels(1, 20, 30)
    expected = np.array(Image.fromarray(array).resize((11, 7), Image.Resampling.LANCZOS))
    assert np.array_equal(fit(array, (7, 11), "none"), expected)
    images = torch.from_numpy(array.transpose(2, 0, 1)[None])
    assert np.array_equal(open_dataset(images, resolution=(7, 11)).images[0].permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.uint8])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_resizing_keeps_a_constant_and_the_range_of_every_type(dtype, channels):
    constant = np.full((9, 9, channels), 200, dtype)
    assert (fit(constant, (4, 5), "none") == 200).all()
    edge = np.zeros((16, 16, channels), dtype)
    edge[:, 8:] = 255
    out = fit(edge, (7, 7), "none")
    assert out.dtype == dtype
    assert out.min() >= 0  # Lanczos rings, but does not wrap around
    if dtype != np.uint16:
        assert out.max() <= 255


def test_sixteen_bits_stay_sixteen_bits():
    ramp = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64, 1)
    out = fit(ramp, (32, 32), "none")
    assert len(np.unique(out)) > 900  # 8 bits would leave 256


def test_center_crop_cuts_the_middle_and_stretching_keeps_all():
    array = np.zeros((4, 8, 1), np.uint8)
    array[:, 2:6] = 255
    assert (fit(array, (4, 4), "center") == 255).all()
    assert fit(array, (4, 4), "none").min() < 20
    tall = np.zeros((9, 3, 1), np.uint8)
    tall[3:6] = 7
    assert (fit(tall, (3, 3), "center") == 7).all()


def test_channels_are_changed_as_documented():
    grey = pixels(0, channels=1)[..., None]
    assert (recolour(grey, 3) == grey).all()
    rgba = recolour(grey, 4)
    assert (rgba[..., 3] == 255).all()
    colour = pixels(1)
    luma = np.array(Image.fromarray(colour).convert("L"))
    assert np.abs(recolour(colour, 1)[..., 0].astype(int) - luma).max() <= 1
    clear = np.concatenate([colour, np.zeros_like(colour[..., :1])], axis=-1)
    assert (recolour(clear, 3) == 255).all()  # transparent is white
    opaque = np.concatenate([colour, np.full_like(colour[..., :1], 255)], axis=-1)
    assert np.array_equal(recolour(opaque, 3), colour)


def test_sixteen_bit_white_stays_white():
    assert recolour(np.zeros((2, 2, 4), np.uint16), 1).min() == 65535
    assert (widen(np.array([[[0, 255]]], np.uint8), "uint16") == [0, 65535]).all()


def test_odd_channels_cannot_be_recoloured():
    with pytest.raises(ConfigError, match="images of 5 channels cannot become"):
        open_dataset(np.zeros((2, 5, 8, 8), np.uint8), channels="rgb")
